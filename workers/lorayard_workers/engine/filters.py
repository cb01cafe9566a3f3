"""Which tokens of a row may be drawn, and with what weight: top-k, then top-p, then min-p.

Each keeps the tokens of at least some score, so together they are one cut through the scores. Sorting
262,144 scores for it costs 19 ms a row; here the largest are found through the maxima of groups, and where
the cut lies deeper it is found by halving. Tokens that tie with the last one kept are kept too (as
transformers' top-k does; its top-p keeps those of them that its sort happened to put first).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor

CANDIDATES = 256
"""Looked at before anything else: a trained model's top-p set is nearly always smaller."""

GROUPS = 8192
"""Of scores. Few enough to sort their maxima, many enough that the best groups hold few scores."""

LEAST_LOG_WEIGHT = -87.0
"""A token that is e^87 times less likely than the first is never drawn: its weight is 0. (The exponential of
less is not a normal float of 32 bits, and takes a hundred times as long.)"""

_NEAR = 0.01
"""Of a score: so close together lie some hundred tokens of a flat distribution over 262,144."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What cuts the tail off. `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing."""

    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def off(self) -> bool:
        """Whether every token is kept."""
        return not self.top_k and self.top_p >= 1.0 and self.min_p <= 0.0


def kept_tokens(scaled: Tensor, filters: Filters) -> tuple[Tensor, Tensor | None]:
    """Weights (not normalised; 0 means cut) and their tokens, None where all stand in their own order.

    scaled is [vocabulary], float32, logits over temperature with the largest at 0.
    """
    if filters.off:
        return _drawable(scaled), None
    values, tokens = largest(scaled, CANDIDATES)
    cut = _cut(scaled, values, filters)
    if cut > float(values[-1]) or len(values) == len(scaled):
        kept = values >= cut
        return _drawable(values[kept]), tokens[kept]
    return _drawable(_at_least(scaled, cut)), None


def _cut(scaled: Tensor, values: Tensor, filters: Filters) -> float:
    """The least score kept; `values` are the largest scores, in order."""
    cut = _top_k_cut(scaled, values, filters.top_k)
    if filters.top_p < 1.0:
        cut = max(cut, _top_p_cut(scaled, values, filters.top_p, cut))
    return max(cut, math.log(filters.min_p)) if filters.min_p > 0 else cut


def _top_k_cut(scaled: Tensor, values: Tensor, top_k: int) -> float:
    if not top_k or top_k >= len(scaled):
        return -math.inf
    found = values if top_k <= len(values) else scaled.topk(top_k).values
    return float(found[top_k - 1])


def _top_p_cut(scaled: Tensor, values: Tensor, top_p: float, floor: float) -> float:
    """Of the tokens that score at least `floor`."""
    if floor > float(values[-1]) or len(values) == len(scaled):
        inside = values[values >= floor].double()
        weights = inside.exp()
        return float(inside[_kept_count(weights, top_p * float(weights.sum())) - 1])
    weights = _weights(scaled if floor == -math.inf else _at_least(scaled, floor))
    total = float(weights.sum())
    wanted = top_p * total
    sorted_weights = values.double().exp()
    if float(sorted_weights.sum()) >= wanted:
        return float(values[_kept_count(sorted_weights, wanted) - 1])
    # All tokens under `low` together weigh less than what top-p leaves out.
    low = max(math.log(max(total - wanted, sys.float_info.min) / len(scaled)), LEAST_LOG_WEIGHT - 1.0)
    return _deep_cut(scaled, weights, wanted, low, float(values[-1]))


def _kept_count(weights: Tensor, wanted: float) -> int:
    """How many of these, largest first, make up `wanted`; at least one, however small `wanted` is."""
    before = weights.cumsum(0) - weights
    return max(1, int((before < wanted).sum()))


def _deep_cut(scaled: Tensor, weights: Tensor, wanted: float, low: float, high: float) -> float:
    """The cut where it lies under the candidates: halve the scores between, then sort the few that are left.

    Tokens over `low` weigh enough, tokens over `high` do not.
    """
    while high - low > _NEAR:
        middle = (low + high) / 2
        if float(torch.threshold(weights, math.exp(middle), 0.0).sum()) >= wanted:
            low = middle
        else:
            high = middle
    around = scaled[scaled.sub((low + high) / 2).abs_() <= high - low]
    between = around[(around > low) & (around <= high)].double().sort(descending=True).values
    if not len(between):  # what is still missing is float noise
        return high
    above = float(_weights(torch.threshold(scaled, high, -math.inf)).sum())
    return float(between[_kept_count(between.exp(), wanted - above) - 1])


def _weights(scaled: Tensor) -> Tensor:
    """Exponentials; the least are as good as 0 in a sum."""
    return scaled.clamp(min=LEAST_LOG_WEIGHT).exp_()


def _drawable(scaled: Tensor) -> Tensor:
    """Exponentials in which the least are 0."""
    return torch.threshold_(_weights(scaled), 1.1 * math.exp(LEAST_LOG_WEIGHT), 0.0)


def _at_least(scaled: Tensor, cut: float) -> Tensor:
    """A copy in which lesser scores are -inf. (With a mask of booleans it takes four times as long.)"""
    below = torch.nextafter(torch.tensor(cut, dtype=torch.float32), torch.tensor(-math.inf))
    return torch.threshold(scaled, float(below), -math.inf)


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of [vocabulary] in falling order, at most `CANDIDATES`, and their tokens."""
    width = len(scores)
    count = min(count, width)
    if width % GROUPS or width == GROUPS:
        return scores.topk(count)
    # The largest lie in the groups with the largest maxima. Group g is every token t with t % GROUPS == g:
    # maxima across rows of memory are four times as fast as along them.
    grid = scores.view(-1, GROUPS)
    groups = grid.amax(0).topk(count, sorted=False).indices
    values, places = grid.index_select(1, groups).view(-1).topk(count)
    tokens = torch.div(places, count, rounding_mode="floor") * GROUPS + groups[places % count]
    return values, tokens
