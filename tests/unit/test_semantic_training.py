"""What teaches a classifier, what does not, and how sure it becomes (B4)."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.conftest import TOPICS, tiny_encoder, topic_examples

from lorayard_shared.semantic.background import BACKGROUND
from lorayard_shared.semantic.calibration import (
    LEAST_THRESHOLD,
    best_temperature,
    calibration_error,
    shares,
    threshold_for,
)
from lorayard_shared.semantic.encoder import ENCODER_NAME, TOKENIZER_NAME
from lorayard_shared.semantic.errors import TrainingError
from lorayard_shared.semantic.examples import NONE, Example, prompt_digest
from lorayard_shared.semantic.training import train

SAILING, TAXES, COOKING = TOPICS


def test_the_same_examples_in_any_order_give_the_same_classifier__b4() -> None:
    examples = topic_examples()
    one = train(examples, tiny_encoder())
    assert one.digest == train([*reversed(examples), examples[0]], tiny_encoder()).digest
    assert one.digest != train(examples[:-1], tiny_encoder()).digest


def test_the_record_tells_what_it_was_made_of() -> None:
    nones = [Example(adapter=NONE, prompt="why is a cat"), Example(adapter=NONE, prompt="tell a joke")]
    artifact = train([*topic_examples(count=5), *nones], tiny_encoder(), precision=0.9)
    record = artifact.record
    assert record.labels == tuple(sorted(TOPICS))
    assert (record.examples_per_label, record.none_examples) == ((5, 5, 5), 2)
    assert record.cross_validation.examples == 15
    assert record.cross_validation.background == len(BACKGROUND) + 2
    assert record.wanted_precision == 0.9
    assert record.encoder_digest == tiny_encoder().digest


def test_the_encoders_files_are_the_same_bytes_in_every_classifier() -> None:
    """So that a store by content keeps them once."""
    one, other = train(topic_examples(), tiny_encoder()), train(topic_examples(count=3), tiny_encoder())
    assert all(one.files[name] == other.files[name] for name in (ENCODER_NAME, TOKENIZER_NAME))


def test_two_adapters_are_enough_and_so_is_one_beside_prompts_for_none() -> None:
    two = [one for one in topic_examples() if one.adapter != COOKING]
    assert train(two, tiny_encoder()).record.labels == (SAILING, TAXES)
    alone = [one for one in two if one.adapter == TAXES]
    nones = [Example(adapter=NONE, prompt="why is a cat"), Example(adapter=NONE, prompt="tell a joke")]
    assert train([*alone, *nones], tiny_encoder()).record.labels == (TAXES,)


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([], "examples of 0 adapters"),
        ([one for one in topic_examples() if one.adapter == TAXES], "two are needed"),
        (
            [*topic_examples(), Example(adapter="acme/tiny/alone", prompt="hello")],
            "acme/tiny/alone: fewer than 2",
        ),
        (
            [
                *topic_examples(),
                *[Example(adapter="acme/tiny/same", prompt=p) for p in ("Hi  you", "hi you")],
            ],
            "acme/tiny/same: fewer than 2",
        ),
        ([*topic_examples(), Example(adapter=TAXES, prompt=topic_examples()[0].prompt)], "is given for"),
        ([*topic_examples(), Example(adapter=TAXES, prompt=" \n")], "empty prompt"),
        (
            [Example(adapter=f"acme/tiny/n{i}", prompt=f"{i} {j}") for i in range(1001) for j in range(2)],
            "1001 adapters, more than 1000",
        ),
    ],
)
def test_examples_that_teach_nothing_are_refused_with_a_reason(examples: list[Example], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train(examples, tiny_encoder())


@pytest.mark.parametrize("precision", [0.0, -1.0, 1.01, float("nan")])
def test_a_precision_that_is_none_is_refused(precision: float) -> None:
    with pytest.raises(TrainingError, match="precision"):
        train(topic_examples(), tiny_encoder(), precision=precision)


def test_background_prompts_are_each_another() -> None:
    assert len({prompt_digest(prompt) for prompt in BACKGROUND}) == len(BACKGROUND)


def test_the_threshold_is_the_lowest_that_keeps_the_wanted_precision() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.55])
    correct = np.array([True, True, True, False, True])
    assert threshold_for(confidence, correct, 1.0).threshold == pytest.approx(0.65)
    assert threshold_for(confidence, correct, 0.75).threshold == LEAST_THRESHOLD


def test_what_weighs_little_spoils_little() -> None:
    confidence, correct = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    assert threshold_for(confidence, correct, 0.9).threshold == pytest.approx(0.85)
    weights = np.array([1.0, 0.1, 1.0])
    assert threshold_for(confidence, correct, 0.9, weights).threshold == LEAST_THRESHOLD


def test_decisions_of_equal_confidence_stand_on_one_side_of_the_threshold() -> None:
    found = threshold_for(np.array([0.9, 0.7, 0.7]), np.array([True, True, False]), 1.0)
    assert found.threshold == pytest.approx(0.8)


def test_a_precision_out_of_reach_is_told_and_decides_almost_nothing() -> None:
    found = threshold_for(np.array([0.9, 0.6]), np.array([False, True]), 0.95)
    assert (found.threshold, found.reached) == (1.0, False)


def test_the_temperature_makes_boastful_scores_modest() -> None:
    """Right three times in four, however large the scores: then the confidence is three quarters."""
    scores = np.tile(np.array([[50.0, 0.0]], np.float32), (8, 1))
    truth = np.array([0, 0, 0, 1] * 2)
    balanced = np.concatenate([scores, scores[:, ::-1]])
    temperature = best_temperature(balanced, np.concatenate([truth, 1 - truth]))
    assert shares(balanced, temperature)[0, 0] == pytest.approx(0.75, abs=0.01)


def test_calibration_is_off_by_how_far_confidence_lies_from_accuracy() -> None:
    sure = np.full(10, 0.95)
    assert calibration_error(sure, np.arange(10) < 5) == pytest.approx(0.45)
    assert calibration_error(sure, np.ones(10, bool)) == pytest.approx(0.05)
