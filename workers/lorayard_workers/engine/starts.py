"""Whose row starts next: adapters take turns, and one adapter's rows start in the order they came. Pure.

Start-time fair queueing (Goyal et al. 1996) with one unit for each row: a flood of one adapter's requests
makes that adapter wait, not the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class FairStarts:
    """Turns taken so far. An adapter is named by its key, the base model by None."""

    _turn: int = 0
    _next: dict[str | None, int] = field(default_factory=dict[str | None, int])  # who is ahead of the rest

    def order(self, keys: Sequence[str | None]) -> list[int]:
        """Indices of waiting rows, given in the order they came, in the order they should start."""
        turns: dict[str | None, int] = {}
        tags: list[tuple[int, int]] = []
        for index, key in enumerate(keys):
            turn = turns.get(key, self._turn_of(key))
            turns[key] = turn + 1
            tags.append((turn, index))
        return [index for _, index in sorted(tags)]

    def started(self, key: str | None) -> None:
        """A row of this adapter has started."""
        turn = self._turn_of(key)
        self._turn = max(self._turn, turn)
        self._next[key] = turn + 1
        self._next = {key: turn for key, turn in self._next.items() if turn > self._turn}

    def _turn_of(self, key: str | None) -> int:
        return max(self._turn, self._next.get(key, 0))
