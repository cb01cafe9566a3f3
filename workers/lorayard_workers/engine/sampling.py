"""Draws the next token of each row from its logits.

In transformers' order: penalties (`penalties.py`), the grammar's mask (`grammar.py`), temperature, top-k,
top-p, min-p (`filters.py`), then one draw. Every sampled row has a random number generator of its own,
advanced once per token: the same seed gives the same text whatever shares the batch, up to float noise in the
logits.

Rows that are greedy and ask for nothing else take the likeliest token of all rows at once; every other row is
handled by itself, in a float32 copy that stays in the processor's cache.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
import torch
from torch import Tensor

from lorayard_shared.logs import Event
from lorayard_workers.engine.filters import Filters, kept_tokens
from lorayard_workers.engine.grammar import Grammar
from lorayard_workers.engine.logprobs import RawLogprob, raw_logprob
from lorayard_workers.engine.outcome import FailureKind
from lorayard_workers.engine.penalties import Penalties
from lorayard_workers.engine.request import Sampling

_log = structlog.stdlib.get_logger(__name__)

_DEAD_END = "every token that fits is one that sampling.min_new_tokens holds off"

LEAST_TEMPERATURE = 1e-30
"""As good as greedy. Less would become 0 in a float of 32 bits, and 0 / 0 no number."""

_BLOCK = 512
"""torch's bf16 argmax is scalar: over blocks it is eight times as fast. A running sum over blocks' sums is
five times as fast as one over all tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A row's next token."""

    token: int
    logprob: RawLogprob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChosen:
    """Why a row has no next token: it fails, alone. `at` is the part of the request at fault, if one is."""

    kind: FailureKind
    code: str
    message: str
    at: str | None = None


NOT_FINITE = NotChosen(
    kind=FailureKind.PERMANENT,
    code="non_finite_logits",
    message="the model's output is not finite: the weights overflow this precision",
    at="adapter",
)


class TokenSampler:
    """How one row draws. It belongs to the row for life: it knows what was drawn before."""

    def __init__(
        self,
        sampling: Sampling,
        *,
        prompt_ids: Sequence[int] = (),
        end_ids: Sequence[int] = (),
        grammar: Grammar | None = None,
    ) -> None:
        self._grammar = grammar
        self._random = random.Random(sampling.seed)
        self._temperature = sampling.temperature
        self._filters = Filters(top_k=sampling.top_k, top_p=sampling.top_p, min_p=sampling.min_p)
        self._penalties = (
            Penalties(sampling, prompt_ids=prompt_ids, end_ids=end_ids)
            if Penalties.wanted(sampling)
            else None
        )
        self.alternatives = sampling.logprobs
        """How many tokens beside the chosen one are told with their log-probabilities; None: not even it."""

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is always taken, as the model gives it."""
        return self._temperature == 0.0 and self._penalties is None and self._grammar is None

    @property
    def ended(self) -> bool:
        """Whether nothing can follow what was taken."""
        return self._grammar is not None and self._grammar.ended

    def failure(self) -> str | None:
        """Why no token can follow, after a draw that gave none."""
        return None if self._grammar is None else self._grammar.failure() or _DEAD_END

    def took(self, token: int) -> None:
        """The row has taken this token."""
        if self._penalties is not None:
            self._penalties.took(token)
        if self._grammar is not None:
            self._grammar.took(token)

    def draw(self, logits: Tensor) -> int | None:
        """logits is [vocabulary], finite at its top; it is not changed. None: the grammar allows no token."""
        wide = _copy(logits)
        if self._penalties is not None:
            self._penalties.apply(wide)
        if self._grammar is not None:
            mask = self._grammar.mask(wide)
            if mask is None or not bool(torch.isfinite(wide.add_(mask).amax())):
                return None
        if self._temperature == 0.0:
            return int(_argmax(wide[None])[0])
        # This order cannot overflow.
        scaled = wide.sub_(wide.amax()).div_(max(self._temperature, LEAST_TEMPERATURE))
        weights, tokens = kept_tokens(scaled, self._filters)
        index = _pick(weights, self._random.random())
        return index if tokens is None else int(tokens[index])


def choose_tokens(
    logits: Tensor, samplers: Sequence[TokenSampler], exact: Mapping[int, int] | None = None
) -> list[Chosen | NotChosen]:
    """One token for each row of [rows, vocabulary].

    `exact`: the likeliest token of rows for which it is known better than by these rounded logits.
    """
    likeliest, top = _argmax(logits)
    finite = cast("list[bool]", torch.isfinite(top).tolist())
    plain = cast("list[int]", likeliest.tolist())
    for row, token in (exact or {}).items():
        plain[row] = token
    return [
        _choose(logits[i], sampler, plain[i]) if finite[i] else NOT_FINITE
        for i, sampler in enumerate(samplers)
    ]


def _choose(logits: Tensor, sampler: TokenSampler, likeliest: int) -> Chosen | NotChosen:
    try:
        token = likeliest if sampler.plain else sampler.draw(logits)
        if token is None:
            return NotChosen(
                kind=FailureKind.PERMANENT,
                code="grammar_failed",
                message=f"no token can follow by sampling.json_schema: {sampler.failure()}",
                at="sampling.json_schema",
            )
        if sampler.alternatives is None:
            return Chosen(token=token)
        return Chosen(token=token, logprob=raw_logprob(logits, token, sampler.alternatives))
    except Exception as error:  # noqa: BLE001  # one row's draw failed; the others are sound
        _log.exception(Event.DRAW_FAILED)
        return NotChosen(
            kind=FailureKind.RETRYABLE, code="engine_error", message=f"{type(error).__name__}: {error}"
        )


def _copy(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype != torch.float32 else logits.clone()


def _pick(weights: Tensor, point: float) -> int:
    """The index at `point` (0..1) of the running sum; never one whose weight is 0."""
    if len(weights) % _BLOCK or len(weights) == _BLOCK:
        mass = weights.double().cumsum(0)
        return _search(mass, point * float(mass[-1]))
    blocks = weights.view(-1, _BLOCK)
    mass = blocks.sum(-1).double().cumsum(0)
    wanted = point * float(mass[-1])
    block = _search(mass, wanted)
    before = float(mass[block - 1]) if block else 0.0
    return block * _BLOCK + _search(blocks[block].double().cumsum(0), wanted - before)


def _search(mass: Tensor, wanted: float) -> int:
    """The first place where the running sum exceeds `wanted`; float noise may put `wanted` past its end."""
    end = float(mass[-1])
    if not 0.0 < end < math.inf:
        raise ArithmeticError(f"the probabilities of the next token sum up to {end}")
    below_end = math.nextafter(end, 0.0)
    return int(torch.searchsorted(mass, min(wanted, below_end), right=True))


def _argmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Index and value of each row's largest logit; a NaN anywhere makes the value NaN."""
    rows, width = logits.shape
    if width % _BLOCK:
        top, index = logits.max(-1)
        return index, top
    blocks = logits.view(rows, -1, _BLOCK)
    top, block = blocks.amax(-1).max(-1)
    inside = blocks[torch.arange(rows, device=logits.device), block].max(-1).indices
    return block * _BLOCK + inside, top
