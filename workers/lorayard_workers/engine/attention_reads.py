"""How single tokens of many rows read the cache: rows of like length together, each only what it may see.

Blocks of equally long rows that lie evenly spaced are read in place; others are copied together first, padded
to the longest. Either has a fixed price for its calls, so rows are cut into groups where that is cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from math import gcd

import torch
from torch import Tensor

from lorayard_workers.engine.blocks import BLANK_BLOCK, BLOCK_TOKENS
from lorayard_workers.engine.kv_cache import BlockIndex, Spaced

CALL_BLOCKS = 4.0
"""What one more group costs, in blocks read: about 60 us of calls against 15 us a block (Gemma 3's shapes,
one core)."""

COPY_BLOCKS = 1.4
"""What a block costs that is copied first."""


class Together(StrEnum):
    """Which single tokens are read together."""

    CHEAPEST = "cheapest"
    """As costs least, the shorter padded to the longest: a token's rounding may depend on the others."""
    EQUAL = "equal"
    """Only those of rows with equally many blocks."""
    NONE = "none"
    """Each by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Blocks that one token may see, and its position counted from the first of them."""

    blocks: Sequence[int]
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Some tokens of a step as one batched attention."""

    tokens: Tensor  # [n]: index of each among the step's single tokens
    rows: Tensor | None  # [n]: which of the rows read is each token's; None: they are the same
    row_count: int
    blocks: BlockIndex
    mask: Tensor  # additive [row_count, 1, 1, length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """All single tokens of a step, for the layers of one window."""

    groups: tuple[Read, ...]
    inverse: Tensor | None  # undoes the order of the groups; None: it is the step's


def plan_reads(
    reaches: Sequence[Reach],
    *,
    window: int | None,
    dtype: torch.dtype,
    device: torch.device,
    together: Together = Together.CHEAPEST,
) -> Reads:
    """Group the tokens of a step."""
    runs = _runs(reaches, together)
    groups = [_read(run, reaches, window, dtype, device) for run in runs]
    order = torch.cat([group.tokens for group in groups])
    inverse = None if torch.equal(order, torch.arange(len(order), device=device)) else order.argsort()
    return Reads(groups=tuple(groups), inverse=inverse)


def _runs(reaches: Sequence[Reach], together: Together) -> list[list[int]]:
    if together is Together.CHEAPEST:
        return cut_groups(reaches)
    if together is Together.NONE:
        return [[i] for i in range(len(reaches))]
    return _equally_long(reaches)


def cut_groups(reaches: Sequence[Reach]) -> list[list[int]]:
    """Tokens that are read together: least cost in all. Pure."""
    classes = _equally_long(reaches)
    best: list[tuple[float, int]] = [(0.0, 0)]  # cost of the first classes, and where their last group starts
    for stop in range(1, len(classes) + 1):
        ways = [(best[i][0] + _cost(classes[i:stop], reaches), i) for i in range(stop)]
        best.append(min(ways))
    groups: list[list[int]] = []
    at = len(classes)
    while at:
        groups.insert(0, [i for run in classes[best[at][1] : at] for i in run])
        at = best[at][1]
    return groups


def _equally_long(reaches: Sequence[Reach]) -> list[list[int]]:
    """The longest first, and in each class by place in the cache."""
    order = sorted(range(len(reaches)), key=lambda i: (-len(reaches[i].blocks), reaches[i].blocks[0]))
    return [list(run) for _, run in groupby(order, key=lambda i: len(reaches[i].blocks))]


def spaced(tables: Sequence[Sequence[int]]) -> Spaced | None:
    """How to read rows in place; None if they are not equally long, in one piece each and evenly spaced.

    Other blocks may lie between; they are read too, so not many.
    """
    blocks = len(tables[0])
    starts = [table[0] for table in tables]
    if any(table != _run(table[0], blocks) for table in map(list, tables)):
        return None
    step = gcd(*(start - starts[0] for start in starts)) or blocks
    rows = (max(starts) - min(starts)) // step + 1
    if step < blocks or rows > COPY_BLOCKS * len(tables):
        return None
    return Spaced(first=min(starts), step=step, rows=rows, blocks=blocks)


def visible(positions: Tensor, columns: Tensor, window: int | None) -> Tensor:
    """Whether a token at a position sees a column."""
    seen = columns <= positions
    return seen if window is None else seen & (columns > positions - window)


def _cost(classes: Sequence[Sequence[int]], reaches: Sequence[Reach]) -> float:
    blocks = len(reaches[classes[0][0]].blocks)
    if len(classes) == 1:
        in_place = spaced([reaches[i].blocks for i in classes[0]])
        if in_place is not None:
            return CALL_BLOCKS + in_place.rows * blocks
    return CALL_BLOCKS + COPY_BLOCKS * blocks * sum(map(len, classes))


def _read(
    run: list[int],
    reaches: Sequence[Reach],
    window: int | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Read:
    in_place = spaced([reaches[i].blocks for i in run])
    if in_place is None:
        run = sorted(run)
        rows, row_count = None, len(run)
        blocks: BlockIndex = torch.tensor(_joined([reaches[i].blocks for i in run]), device=device)
        positions = torch.tensor([reaches[i].position for i in run])
    else:
        places = torch.tensor([(reaches[i].blocks[0] - in_place.first) // in_place.step for i in run])
        row_count, blocks = in_place.rows, in_place
        positions = torch.zeros(row_count, dtype=torch.long)
        positions[places] = torch.tensor([reaches[i].position for i in run])
        rows = None if row_count == len(run) else places.to(device)
    columns = torch.arange(max(len(reaches[i].blocks) for i in run) * BLOCK_TOKENS)
    seen = visible(positions[:, None], columns[None], window)
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, float("-inf"))[:, None, None]
    return Read(
        tokens=torch.tensor(run, device=device),
        rows=rows,
        row_count=row_count,
        blocks=blocks,
        mask=mask.to(device),
    )


def _joined(tables: Sequence[Sequence[int]]) -> list[int]:
    """The blocks of several rows one after another, all padded to the longest."""
    blanks = [BLANK_BLOCK] * max(map(len, tables))
    return [block for table in tables for block in (*table, *blanks[len(table) :])]


def _run(first: int, blocks: int) -> list[int]:
    return list(range(first, first + blocks))
