"""How sure is sure enough: scores on held-back examples become shares that mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.value import value

LEAST_THRESHOLD = 0.5
"""Where an adapter is not likelier than everything else together, nobody asked for it."""
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.02, 50.0
_STEPS = 40
"""Of a search that keeps 62 % of the range each time: exact to seven digits."""
_BINS = 10
_ROUNDING = 1e-9
"""Nineteen right of twenty are 95 %, however the sums come out."""


@value
class Threshold:
    """The least confidence to decide with."""

    threshold: float
    reached: bool
    """Whether the wanted precision was."""


def shares(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Rows of scores [n, labels] as shares that sum to 1."""
    scaled = scores.astype(np.float64) / temperature
    found: NDArray[np.float64] = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found


def best_temperature(scores: NDArray[np.float32], truth: NDArray[np.intp]) -> float:
    """The one under which the truth is likeliest.

    After Guo et al., "On calibration of modern neural networks" (2017).
    `scores` [n, labels] of examples that the model had not seen, `truth` [n] as column numbers. Every label
    counts the same, however many examples it has.
    """
    counts = np.bincount(truth, minlength=scores.shape[1])
    weights = 1 / counts[truth]
    low, high = np.log(_LEAST_TEMPERATURE), np.log(_MOST_TEMPERATURE)
    golden = (np.sqrt(5.0) - 1) / 2
    for _ in range(_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _surprise(scores, truth, weights, np.exp(left)) <= _surprise(
            scores, truth, weights, np.exp(right)
        ):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 6)


def threshold_for(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    precision: float,
    weights: NDArray[np.float64] | None = None,
) -> Threshold:
    """The lowest threshold over which at least `precision` of the decisions [n] are correct, by weight."""
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], correct[order]
    worth = np.ones(len(hits)) if weights is None else weights[order]
    good = np.cumsum(hits * worth) >= precision * np.cumsum(worth) - _ROUNDING
    # Equal confidence is decided alike, so a threshold can only lie where it drops.
    drops = np.append(ranked[:-1] > ranked[1:], True)
    ends = np.flatnonzero(good & drops)
    if not len(ends):
        return Threshold(threshold=1.0, reached=False)
    last = int(ends[-1])
    below = float(ranked[last + 1]) if last + 1 < len(ranked) else 0.0
    return Threshold(
        threshold=round(max(LEAST_THRESHOLD, (float(ranked[last]) + below) / 2), 6), reached=True
    )


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins: how far confidence lies from accuracy, 0..1."""
    if not len(confidence):
        return 0.0
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    apart = [abs(float(confidence[bins == b].sum() - correct[bins == b].sum())) for b in range(_BINS)]
    return round(sum(apart) / len(confidence), 6)


def _surprise(
    scores: NDArray[np.float32], truth: NDArray[np.intp], weights: NDArray[np.float64], temperature: float
) -> float:
    of_truth = shares(scores, temperature)[np.arange(len(truth)), truth]
    return -float(np.log(np.maximum(of_truth, 1e-12)) @ weights)
