"""Who gives its blocks back when a row must grow and none is free. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHolder:
    """A running row: `number` says when it started, `adapter` is None for the base model."""

    number: int
    adapter: str | None


def choose_victim(holders: Sequence[BlockHolder]) -> BlockHolder | None:
    """The youngest row of the adapter that runs most rows; None if there is only one row.

    Never the oldest of all: it always gets on, so every row is the oldest one day and ends.
    """
    oldest = min(holders, key=lambda holder: holder.number)
    others = [holder for holder in holders if holder is not oldest]
    rows = Counter(holder.adapter for holder in holders)
    return max(others, key=lambda holder: (rows[holder.adapter], holder.number), default=None)
