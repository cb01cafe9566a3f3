"""Trains the classifier over a handful of examples per adapter."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from lorayard_schemas.semantic import MAX_LABELS
from lorayard_shared.semantic.artifact import HEAD_NAME, RECORD_NAME, Artifact, artifact_of
from lorayard_shared.semantic.background import BACKGROUND
from lorayard_shared.semantic.calibration import (
    best_temperature,
    calibration_error,
    shares,
    threshold_for,
)
from lorayard_shared.semantic.encoder import ENCODER_NAME, TOKENIZER_NAME, Encoder, EncoderFiles
from lorayard_shared.semantic.errors import TrainingError
from lorayard_shared.semantic.examples import NONE, Example, examples_digest, prompt_digest
from lorayard_shared.semantic.record import ClassifierRecord, CrossValidation

DEFAULT_PRECISION = 0.95
LEAST_EXAMPLES = 2
"""Of each adapter: one to learn from while the other is held back."""

_FOLDS, _ROUNDS_OF_FOLDS = 10, 4
"""Held back are a tenth of the examples at a time, and all of them four times in other company: with a few
dozen examples the threshold hangs on two or three of them, and on which lay in one fold."""
_FOLDS_OF_MANY, _ROUNDS_OF_MANY = 3, 1
_MANY = 50_000
"""Rows times labels: from here on a fit takes a second, so fewer are made; and there are examples enough."""
_STRENGTH = 20.0
"""Inverse of the penalty on weights: vectors of unit length need large ones; 5 and 80 did no better."""
_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """Vectors [n, dimensions], and of each the number of its label; the last label is for none."""

    vectors: NDArray[np.float32]
    truth: NDArray[np.intp]
    rounds: NDArray[np.intp]
    """[rounds, judged]: of the first rows the fold, another in every round; others are only learnt."""
    labels: int

    @property
    def judged_truth(self) -> NDArray[np.intp]:
        """[rounds * judged], as the scores of those held back."""
        return np.tile(self.truth[: self.rounds.shape[1]], len(self.rounds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a prompt of real traffic meant, whose sender named the adapter; its text is not known."""

    adapter: str
    """One of the labels of the examples."""
    vector: NDArray[np.float32]
    """[dimensions], by the same encoder."""


def train(
    examples: Sequence[Example],
    encoder: EncoderFiles,
    *,
    precision: float = DEFAULT_PRECISION,
    observed: Sequence[Observed] = (),
) -> Artifact:
    """A classifier that decides where at least `precision` of its decisions should be right.

    On one machine the same examples, in any order, and the same encoder give the same digest. What was
    `observed` is learnt too, and judged by nobody: threshold and figures are those of the examples.

    Raises:
        TrainingError: the examples teach no classifier, or the precision is none.
        ArtifactError: the encoder's files are not sound.
    """
    if not 0 < precision <= 1:
        raise TrainingError(f"a precision of {precision} is not above 0 and at most 1")
    known = _distinct(examples)
    counts = Counter(one.adapter for one in known)
    none_examples = counts.pop(NONE, 0)
    labels = tuple(sorted(counts))
    _check_counts(labels, counts, none_examples)
    # One thread: sums of several come in whatever order, and the digest would change from run to run.
    with threadpool_limits(limits=1):
        material = _material(known, labels, Encoder(encoder.tokenizer, encoder.table), observed)
        scores, truth = _held_back_scores(material), material.judged_truth
        temperature = best_temperature(scores, truth)
        threshold, validation = _validated(scores, truth, temperature, precision, rounds=len(material.rounds))
        weights, biases = _fit(material, np.ones(len(material.truth), bool))
    record = ClassifierRecord(
        labels=labels,
        examples_per_label=tuple(counts[label] for label in labels),
        none_examples=none_examples,
        examples_digest=examples_digest(known),
        prompt_digests=tuple(sorted(prompt_digest(one.prompt)[:16] for one in known)),
        encoder_kind=encoder.kind,
        encoder_digest=encoder.digest,
        dimensions=weights.shape[1],
        temperature=temperature,
        threshold=threshold,
        wanted_precision=precision,
        cross_validation=validation,
    )
    return _artifact(record, weights, biases, encoder)


def _artifact(
    record: ClassifierRecord, weights: NDArray[np.float32], biases: NDArray[np.float32], encoder: EncoderFiles
) -> Artifact:
    return artifact_of(
        {
            RECORD_NAME: (record.model_dump_json(indent=1) + "\n").encode(),
            HEAD_NAME: save({"weights": weights, "biases": biases}),
            ENCODER_NAME: encoder.table,
            TOKENIZER_NAME: encoder.tokenizer,
        }
    )


def _distinct(examples: Sequence[Example]) -> list[Example]:
    """Each prompt once, in an order of its own. Raises TrainingError where one has two labels."""
    found: dict[str, Example] = {}
    for one in examples:
        if not one.prompt.strip():
            raise TrainingError(f"an example of {one.adapter} has an empty prompt")
        first = found.setdefault(prompt_digest(one.prompt), one)
        if first.adapter != one.adapter:
            raise TrainingError(
                f"the prompt {one.prompt!r:.80} is given for {first.adapter} and for {one.adapter}"
            )
    return [one for _, one in sorted(found.items(), key=lambda item: (item[1].adapter, item[0]))]


def _check_counts(labels: Sequence[str], counts: Counter[str], none_examples: int) -> None:
    if len(labels) + (none_examples >= LEAST_EXAMPLES) < 2:
        raise TrainingError(
            f"examples of {len(labels)} adapters: two are needed to choose between, "
            f"or one and {LEAST_EXAMPLES} prompts labelled {NONE!r}"
        )
    if len(labels) > MAX_LABELS:
        raise TrainingError(f"examples of {len(labels)} adapters, more than {MAX_LABELS}")
    few = [label for label in labels if counts[label] < LEAST_EXAMPLES]
    if few:
        more = f" and {len(few) - 3} more" if len(few) > 3 else ""
        raise TrainingError(
            f"{', '.join(few[:3])}{more}: fewer than {LEAST_EXAMPLES} different examples; give five or more"
        )


def _material(
    known: Sequence[Example], labels: Sequence[str], encoder: Encoder, observed: Sequence[Observed]
) -> _Material:
    number = {label: i for i, label in enumerate((*labels, NONE))}
    taken = {prompt_digest(one.prompt) for one in known}
    background = [Example(adapter=NONE, prompt=p) for p in BACKGROUND if prompt_digest(p) not in taken]
    rows = [*known, *background]
    many = (len(rows) + len(observed)) * len(labels) > _MANY
    rounds, folds = (_ROUNDS_OF_MANY, _FOLDS_OF_MANY) if many else (_ROUNDS_OF_FOLDS, _FOLDS)
    return _Material(
        vectors=np.stack([*(encoder.encode(one.prompt) for one in rows), *(one.vector for one in observed)]),
        truth=np.array(
            [number[name] for name in (*(one.adapter for one in rows), *(one.adapter for one in observed))],
            np.intp,
        ),
        rounds=np.array([_dealt(rows, folds, turn) for turn in range(rounds)], np.intp),
        labels=len(labels) + 1,
    )


def _dealt(rows: Sequence[Example], folds: int, turn: int) -> list[int]:
    """The fold of each row: those of one label are dealt out evenly, in an order that the turn shuffles."""
    seen: Counter[str] = Counter()
    found = [0] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: prompt_digest(f"{turn} {rows[i].prompt}")):
        found[i] = seen[rows[i].adapter] % folds
        seen[rows[i].adapter] += 1
    return found


def _held_back_scores(material: _Material) -> NDArray[np.float32]:
    """Scores [rounds * judged, labels] by models that were not shown the row."""
    scores = np.empty((*material.rounds.shape, material.labels), np.float32)
    judged = material.vectors[: material.rounds.shape[1]]
    learnt = np.ones(len(material.vectors), bool)
    for turn, folds in enumerate(material.rounds):
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            learnt[: len(held)] = ~held
            weights, biases = _fit(material, learnt)
            scores[turn, held] = judged[held] @ weights.T + biases
    return scores.reshape(-1, material.labels)


def _fit(material: _Material, rows: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights [labels, dimensions] and biases [labels]."""
    model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=_STEPS)
    with warnings.catch_warnings():
        # The last steps change nothing that the temperature does not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(material.vectors[rows], material.truth[rows])
    weights, biases = model.coef_, model.intercept_
    if len(weights) == 1:  # of two labels it keeps the difference only
        weights = np.concatenate([-weights / 2, weights / 2])
        biases = np.concatenate([-biases / 2, biases / 2])
    return np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(biases, np.float32)


def _validated(
    scores: NDArray[np.float32],
    truth: NDArray[np.intp],
    temperature: float,
    precision: float,
    *,
    rounds: int,
) -> tuple[float, CrossValidation]:
    """The threshold, and how the held-back rows fare under it."""
    none = scores.shape[1] - 1
    found = shares(scores, temperature)
    best = found[:, :none].argmax(axis=1)
    confidence = found[np.arange(len(best)), best]
    correct = best == truth
    leaning = confidence >= found[:, none]
    # Prompts for none count as those of one more label: how many of them a yard gets, nobody knows here.
    worth = np.where(truth == none, (truth != none).sum() / none / max((truth == none).sum(), 1), 1.0)
    chosen = threshold_for(confidence[leaning], correct[leaning], precision, worth[leaning])
    decided = leaning & (confidence >= chosen.threshold)
    ours = truth != none

    def mean(counted: NDArray[np.bool_]) -> int:
        return round(int(counted.sum()) / rounds)

    return chosen.threshold, CrossValidation(
        examples=mean(ours),
        decided=mean(decided & ours),
        correct=mean(decided & correct),
        background=mean(~ours),
        background_decided=mean(decided & ~ours),
        calibration_error=calibration_error(confidence, correct),
        reached=chosen.reached,
    )
