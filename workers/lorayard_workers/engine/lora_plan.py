"""Which tokens of a step use which adapter columns; made once per step, read by every group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from lorayard_workers.memory.columns import Columns, Use, columns_of, weights_of

DENSE_COLUMNS = 512
"""Widest dense form. Its cost grows with all columns up to the highest in use, the other form's with the
number of adapters (several small kernels each): 64 adapters of rank 8 side by side still gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Tokens 0..tokens against columns 0..columns at once; columns of others are blanked."""

    tokens: int
    columns: int
    foreign: Tensor  # bool [tokens, columns, 1]: not this token's
    weights: Tensor | None = None  # fp32 [tokens, columns, 1]; None where all are 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Neighbouring tokens that use the same columns."""

    start: int
    stop: int
    columns: slice | Tensor  # a slice where the columns are neighbours: no copy
    weights: Tensor | None = None  # fp32 [columns, 1]; None where all are 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlan:
    """A step's use of adapters. Tokens of the base model appear in neither part."""

    dense: Dense | None = None
    segments: tuple[Segment, ...] = ()


def plan_lora(
    singles: Sequence[Use | None],
    spans: Sequence[tuple[int, Use | None]],
    device: torch.device,
) -> LoraPlan:
    """`singles`: one token each, those with adapters first; `spans`: (tokens, columns) after them."""
    adapted = [use for use in singles if use is not None]
    assert all(use is not None for use in singles[: len(adapted)])
    width = max((columns_of(use)[-1] + 1 for use in adapted), default=0)
    segments = list(_segments(spans, start=len(singles), device=device))
    if width > DENSE_COLUMNS:
        ones = [(1, use) for use in adapted]
        return LoraPlan(segments=(*_segments(ones, start=0, device=device), *segments))
    dense = _dense(adapted, width, device) if adapted else None
    return LoraPlan(dense=dense, segments=tuple(segments))


def _dense(adapted: Sequence[Use], width: int, device: torch.device) -> Dense:
    tokens = torch.tensor([token for token, use in enumerate(adapted) for _ in columns_of(use)])
    columns = torch.tensor([column for use in adapted for column in columns_of(use)])
    foreign = torch.ones(len(adapted), width, 1, dtype=torch.bool)
    foreign[tokens, columns] = False
    weights: Tensor | None = None
    if any(weights_of(use) is not None for use in adapted):
        weights = torch.ones(len(adapted), width, 1)
        own = [weight for use in adapted for weight in weights_of(use) or (1.0,) * len(columns_of(use))]
        weights[tokens, columns] = torch.tensor(own)[:, None]
        weights = weights.to(device)
    return Dense(tokens=len(adapted), columns=width, foreign=foreign.to(device), weights=weights)


def _segments(spans: Sequence[tuple[int, Use | None]], *, start: int, device: torch.device) -> list[Segment]:
    found: list[Segment] = []
    for use, group in groupby(spans, key=lambda span: span[1]):
        stop = start + sum(tokens for tokens, _ in group)
        if use is not None:
            own = weights_of(use)
            weights = None if own is None else torch.tensor(own, device=device)[:, None]
            columns = _index(columns_of(use), device)
            found.append(Segment(start=start, stop=stop, columns=columns, weights=weights))
        start = stop
    return found


def _index(columns: Columns, device: torch.device) -> slice | Tensor:
    if columns[-1] - columns[0] + 1 == len(columns):
        return slice(columns[0], columns[-1] + 1)
    return torch.tensor(columns, device=device)
