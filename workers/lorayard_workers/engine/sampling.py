"""Draws the next token of each row from its logits.

Every sampled row has a random number generator of its own, advanced once per token: the same seed gives
the same text whatever shares the batch, up to float noise in the logits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from lorayard_workers.engine.protocol import Sampling

TOP_P_CANDIDATES = 1024
"""Sorting 262,144 logits costs 10 ms a row; these almost always hold `top_p` of the mass, and where they
do not, all are sorted."""

LEAST_TEMPERATURE = 1e-30
"""As good as greedy. Less would become 0 in a float of 32 bits, and 0 / 0 no number."""

_ARGMAX_BLOCK = 512
"""torch's bf16 argmax is scalar: over blocks it is eight times as fast."""


class TokenSampler:
    """How one row draws."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = random.Random(sampling.seed)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self._sampling.temperature == 0.0

    def draw(self, logits: Tensor) -> int:
        """logits is [vocabulary], finite at its top."""
        wide = logits.float()
        temperature = max(self._sampling.temperature, LEAST_TEMPERATURE)
        scaled = (wide - wide.max()) / temperature  # this order cannot overflow
        candidates, order = self._candidates(scaled)
        mass = candidates.double().cumsum(0)
        point = self._random.random() * float(mass[-1])
        index = min(int(torch.searchsorted(mass, point, right=True)), len(mass) - 1)
        return index if order is None else int(order[index])

    def _candidates(self, scaled: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unnormalised probabilities to draw from, and their tokens (None: all, in order)."""
        weights = scaled.exp()
        top_k, top_p = self._sampling.top_k, self._sampling.top_p
        total = weights.sum()
        if top_k:
            weights, order = weights.topk(min(top_k, len(weights)))
            total = weights.sum()
        elif top_p < 1.0:
            weights, order = weights.topk(min(TOP_P_CANDIDATES, len(weights)))
            if float(weights.sum()) < top_p * float(total):
                weights, order = scaled.exp().sort(descending=True)
        else:
            return weights, None
        if top_p < 1.0:
            before = weights.cumsum(0) - weights
            # The first token is always kept, also where `top_p` is too small for a float of 32 bits.
            kept = max(1, int((before < top_p * total).sum()))
            weights, order = weights[:kept], order[:kept]
        return weights, order


def choose_tokens(logits: Tensor, samplers: Sequence[TokenSampler]) -> list[int | None]:
    """One token for each row of [rows, vocabulary]; None for a row whose logits are not finite."""
    likeliest, top = _argmax(logits)
    finite = torch.isfinite(top)
    return [
        None if not finite[i] else int(likeliest[i]) if sampler.greedy else sampler.draw(logits[i])
        for i, sampler in enumerate(samplers)
    ]


def _argmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Index and value of each row's largest logit; a NaN anywhere makes the value NaN."""
    rows, width = logits.shape
    if width % _ARGMAX_BLOCK:
        top, index = logits.max(-1)
        return index, top
    blocks = logits.view(rows, -1, _ARGMAX_BLOCK)
    top, block = blocks.amax(-1).max(-1)
    inside = blocks[torch.arange(rows, device=logits.device), block].max(-1).indices
    return block * _ARGMAX_BLOCK + inside, top
