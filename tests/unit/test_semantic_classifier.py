"""What the classifier chooses, what it leaves alone, and what it never tells (B4)."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.conftest import TOPICS, tiny_encoder, topic_examples

from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.encoder import HEAD_BYTES, TAIL_BYTES
from lorayard_shared.semantic.evaluation import ABSTAINED, evaluate
from lorayard_shared.semantic.examples import NONE, Example
from lorayard_shared.semantic.training import train

SAILING, TAXES, COOKING = TOPICS


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(train(topic_examples(), tiny_encoder()))


@pytest.mark.parametrize(
    ("text", "adapter"),
    [
        ("the captain lost the anchor", SAILING),
        ("is a refund of income on this form", TAXES),
        ("BOIL flour with salt", COOKING),
    ],
)
def test_the_adapter_with_examples_like_the_text_is_chosen__b4(
    classifier: Classifier, text: str, adapter: str
) -> None:
    verdict = classifier.choose(text)
    assert verdict.adapter == adapter
    assert verdict.confidence >= verdict.threshold
    assert verdict.runner_up not in (None, adapter)


def test_a_text_like_no_example_is_left_alone_and_the_verdict_says_so__b4(classifier: Classifier) -> None:
    verdict = classifier.choose("how far is the moon")
    assert verdict.adapter is None
    assert "like none of the examples" in verdict.reason


def test_between_adapters_with_like_examples_nothing_is_chosen_and_the_verdict_says_so__b4() -> None:
    levies = "acme/tiny/levies"
    muddled = [
        Example(adapter=levies if one.adapter == TAXES and number % 2 else one.adapter, prompt=one.prompt)
        for number, one in enumerate(topic_examples())
    ]
    verdict = Classifier(train(muddled, tiny_encoder())).choose("tax form")
    assert verdict.adapter is None
    assert 0 < verdict.confidence < verdict.threshold
    assert "under the threshold" in verdict.reason
    assert verdict.runner_up in (TAXES, levies)


@pytest.mark.parametrize("text", ["", "   \n", "xyzzy", "\ud800\udfff", "\x00" * 9, "🙂" * 5000])
def test_a_text_without_a_known_word_is_left_alone_and_the_verdict_says_so(
    classifier: Classifier, text: str
) -> None:
    verdict = classifier.choose(text)
    assert (verdict.adapter, verdict.confidence) == (None, 0.0)
    assert "nothing that the encoder knows" in verdict.reason


def test_an_adapter_that_may_not_be_used_is_neither_chosen_nor_named__b4(classifier: Classifier) -> None:
    verdict = classifier.choose("the captain lost the anchor", lambda label: label != SAILING)
    assert verdict.adapter != SAILING
    assert verdict.runner_up != SAILING
    assert SAILING not in verdict.reason


def test_a_prompt_for_an_adapter_that_may_not_be_used_is_not_for_another_one__b4(
    classifier: Classifier,
) -> None:
    text = "the captain lost the anchor of the ship"
    assert classifier.choose(text).adapter == SAILING
    verdict = classifier.choose(text, lambda label: label != SAILING)
    assert (verdict.adapter, verdict.runner_up, verdict.confidence) == (None, None, 0.0)


def test_one_that_may_not_be_used_is_no_runner_up(classifier: Classifier) -> None:
    text = "ship tax"
    assert (classifier.lean(text).adapter, classifier.lean(text).runner_up) == (TAXES, SAILING)
    fewer = classifier.lean(text, lambda label: label != SAILING)
    assert (fewer.adapter, fewer.runner_up) == (TAXES, None)


def test_where_nothing_may_be_used_nothing_is_chosen(classifier: Classifier) -> None:
    verdict = classifier.choose("the captain lost the anchor", lambda _: False)
    assert (verdict.adapter, verdict.runner_up, verdict.confidence) == (None, None, 0.0)
    assert "may be used" in verdict.reason


def test_with_one_adapter_left_there_is_no_runner_up(classifier: Classifier) -> None:
    verdict = classifier.choose("the captain lost the anchor", lambda label: label == SAILING)
    assert verdict.adapter == SAILING
    assert verdict.runner_up is None


def test_of_a_long_text_both_ends_count_and_the_middle_does_not(classifier: Classifier) -> None:
    head, tail = "captain anchor " * (HEAD_BYTES // 15 + 1), " harbour" * (TAIL_BYTES // 8)
    long = classifier.embed(head + " ship" * 50_000 + tail)
    assert np.array_equal(long, classifier.embed(head + " soup" * 90_000 + tail))
    assert not np.array_equal(long, classifier.embed(head + " ship" * 50_000 + " tax" * TAIL_BYTES))
    assert not np.array_equal(long, classifier.embed("tax " + head + " ship" * 50_000 + tail))


def test_vectors_have_unit_length_or_none(classifier: Classifier) -> None:
    assert float(np.linalg.norm(classifier.embed("soup and salt"))) == pytest.approx(1, abs=1e-5)
    assert not classifier.embed("xyzzy").any()


def test_held_out_prompts_are_counted_by_what_they_are_and_what_was_chosen__b4(
    classifier: Classifier,
) -> None:
    held_out = [
        *topic_examples(skip=20, count=4),
        Example(adapter=NONE, prompt="how far is the moon"),
        Example(adapter=TAXES, prompt="the captain lost the anchor"),
        Example(adapter="acme/tiny/unheard", prompt="why is the cat far"),
    ]
    found = evaluate(classifier, held_out)
    assert (found.examples, found.decided + found.abstained) == (15, 15)
    assert found.rightly_abstained == 1
    assert found.confusion[TAXES][SAILING] == 1
    assert found.confusion["acme/tiny/unheard"] == {ABSTAINED: 1}
    assert found.unknown == ("acme/tiny/unheard",)
    assert found.accuracy == found.correct / found.decided
    assert found.correct >= 10


def test_a_held_out_prompt_that_was_learnt_is_left_out_and_named(classifier: Classifier) -> None:
    learnt = topic_examples()[0]
    shouted = Example(adapter=learnt.adapter, prompt=f"  {learnt.prompt.upper()}\n")
    found = evaluate(classifier, [shouted])
    assert (found.examples, found.accuracy, found.calibration_error) == (0, None, None)
    assert [one.strip() for one in found.left_out] == [learnt.prompt.upper()]
