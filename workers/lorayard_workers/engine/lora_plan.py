"""Which tokens of a step use which adapter columns; made once per step, read by every group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from lorayard_workers.memory.slots import Columns

DENSE_COLUMNS = 512
"""Widest dense form. Its cost grows with all columns up to the highest in use, the other form's with the
number of adapters (several small kernels each): 64 adapters of rank 8 side by side still gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Tokens 0..tokens against columns 0..columns at once; columns of others are blanked."""

    tokens: int
    columns: int
    foreign: Tensor  # bool [tokens, columns, 1]: not this token's adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Neighbouring tokens of one adapter."""

    start: int
    stop: int
    columns: slice | Tensor  # a slice where the columns are neighbours: no copy


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlan:
    """A step's use of adapters. Tokens of the base model appear in neither part."""

    dense: Dense | None = None
    segments: tuple[Segment, ...] = ()


def plan_lora(
    singles: Sequence[Columns | None],
    spans: Sequence[tuple[int, Columns | None]],
    device: torch.device,
) -> LoraPlan:
    """`singles`: one token each, those with adapters first; `spans`: (tokens, columns) after them."""
    adapted = [columns for columns in singles if columns is not None]
    assert all(columns is not None for columns in singles[: len(adapted)])
    width = max((columns[-1] + 1 for columns in adapted), default=0)
    segments = list(_segments(spans, start=len(singles), device=device))
    if width > DENSE_COLUMNS:
        ones = [(1, columns) for columns in adapted]
        return LoraPlan(segments=(*_segments(ones, start=0, device=device), *segments))
    dense = _dense(adapted, width, device) if adapted else None
    return LoraPlan(dense=dense, segments=tuple(segments))


def _dense(adapted: Sequence[Columns], width: int, device: torch.device) -> Dense:
    owner = torch.full((width,), -1, dtype=torch.long)
    for columns in set(adapted):
        owner[list(columns)] = columns[0]
    wanted = torch.tensor([columns[0] for columns in adapted])
    foreign = (wanted[:, None] != owner[None, :]).unsqueeze(-1)
    return Dense(tokens=len(adapted), columns=width, foreign=foreign.to(device))


def _segments(
    spans: Sequence[tuple[int, Columns | None]], *, start: int, device: torch.device
) -> list[Segment]:
    found: list[Segment] = []
    for columns, group in groupby(spans, key=lambda span: span[1]):
        stop = start + sum(tokens for tokens, _ in group)
        if columns is not None:
            found.append(Segment(start=start, stop=stop, columns=_index(columns, device)))
        start = stop
    return found


def _index(columns: Columns, device: torch.device) -> slice | Tensor:
    if columns[-1] - columns[0] + 1 == len(columns):
        return slice(columns[0], columns[-1] + 1)
    return torch.tensor(columns, device=device)
