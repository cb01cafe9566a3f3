"""Who gives its blocks back when a row must grow and none is free. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHolder:
    """A running row: `number` says when it started, `adapters` is (None,) for the base model."""

    number: int
    adapters: tuple[str | None, ...]


def choose_victim(holders: Sequence[BlockHolder]) -> BlockHolder | None:
    """The youngest row of the adapter that runs most rows, in compositions too; None if there is but one.

    Never the oldest of all: it always gets on, so every row is the oldest one day and ends.
    """
    oldest = min(holders, key=lambda holder: holder.number)
    others = [holder for holder in holders if holder is not oldest]
    rows = Counter(adapter for holder in holders for adapter in holder.adapters)
    return max(
        others,
        key=lambda holder: (max(rows[adapter] for adapter in holder.adapters), holder.number),
        default=None,
    )
