"""The start-up check: the patched model must compute what transformers' own forward computes.

Models are not admitted by a list of names: one that nobody has tried passes when a few tokens come out the
same, and is refused with the numbers when they do not. What a few tokens cannot show is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.probe import TOKENS, Probe, probe
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.refusals import cache_shape, refused_by_attention
from lorayard_workers.errors import BaseModelUnsupportedError

_FIRST_CHUNK = 7

STEPS = (
    ((0, 0, _FIRST_CHUNK), (1, 0, TOKENS - 1)),
    ((0, _FIRST_CHUNK, TOKENS), (1, TOKENS - 1, TOKENS)),
)
"""(row, start, stop) of each step's pieces: prompts of two rows in one step, then a later chunk beside a
single token."""

MAX_ERROR = {torch.float32: 1e-3, torch.bfloat16: 0.35}
"""Length of the difference over that of the logits without their mean. Sums in another order make 5e-6 in
fp32, and up to 0.12 in bf16 (Gemma 3 270M, on tokens that mean nothing). Logits that have nothing to do with
each other make 1.4. So fp32 also finds what is only a little wrong: try a new kind of model there first."""

MAX_QUANTIZED_ERROR = 0.6
"""Rounding the base to 8 bits makes 0.1 to 0.2 on most of these tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPiece:
    """Tokens of one row, from position `start`, whose last logits are wanted."""

    row: int
    start: int
    token_ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    row: int
    position: int
    error: float
    largest: float  # of any logit


def probe_model(base: BaseModel) -> Probe:
    """What the untouched model computes. Raises BaseModelUnsupportedError when its attention is not ours."""
    try:
        seen = probe(base.model)
    except Exception as error:  # it is the model's own code that runs: anything may come of it
        raise BaseModelUnsupportedError(
            base.folder, f"{_kind(base)} does not run through transformers' attention interface: {error}"
        ) from error
    for reason in refused_by_attention(base.model, seen.calls, cache_shape(base)):
        raise BaseModelUnsupportedError(base.folder, f"{_kind(base)}: {reason}")
    return seen


def check_same(
    base: BaseModel, seen: Probe, run: Callable[[Sequence[CheckPiece]], Tensor], *, rows: int
) -> None:
    """Run a few tokens of up to `rows` rows; `run` gives logits [pieces, vocabulary].

    Raises BaseModelUnsupportedError with the place and size of the difference that decides.
    """
    quantized = base.quantization is not BaseQuantization.NONE
    try:
        with torch.inference_mode():
            found = sorted(_differences(seen, run, rows), key=lambda one: one.error)
    except Exception as error:  # as in `probe_model`
        raise BaseModelUnsupportedError(
            base.folder,
            f"{_kind(base)} does not run with its linears replaced: {type(error).__name__}: {error}",
        ) from error
    # Rounding changes single tokens that mean nothing a lot (1.1 was seen with 8 bits): the middle judges.
    worst = found[-1] if seen.logits.dtype == torch.float32 and not quantized else found[len(found) // 2]
    limit = MAX_ERROR.get(seen.logits.dtype, MAX_ERROR[torch.bfloat16])
    if quantized:
        limit = max(limit, MAX_QUANTIZED_ERROR)
    if worst.error > limit:
        raise BaseModelUnsupportedError(
            base.folder,
            f"{_kind(base)} computes something else once its linears are replaced: token {worst.position} "
            f"of row {worst.row} differs by {worst.largest:.3g} in one logit, by {worst.error:.3g} of their "
            f"length in all (limit {limit:g})",
        )


def _kind(base: BaseModel) -> str:
    return f"model type {base.model.config.model_type!r}"


def _differences(
    seen: Probe, run: Callable[[Sequence[CheckPiece]], Tensor], rows: int
) -> Iterator[_Difference]:
    for step in STEPS:
        places = [place for place in step if place[0] < rows]
        logits = run(
            [
                CheckPiece(
                    row=row, start=start, token_ids=[int(token) for token in seen.ids[row, start:stop]]
                )
                for row, start, stop in places
            ]
        )
        for ours, (row, _, stop) in zip(logits, places, strict=True):
            yield _compare(row, stop - 1, ours.float(), seen.logits[row, stop - 1].float())


def _compare(row: int, position: int, ours: Tensor, theirs: Tensor) -> _Difference:
    spread = float((theirs - theirs.mean()).square().sum().sqrt())
    error = float((ours - theirs).square().sum().sqrt()) / max(spread, 1e-6)
    return _Difference(
        row=row,
        position=position,
        error=math.inf if math.isnan(error) else error,
        largest=float((ours - theirs).abs().max()),
    )
