"""Whose row starts next: adapters take turns, and one adapter's rows start in the order they came. Pure.

Start-time fair queueing (Goyal et al. 1996) with one unit for each row: a flood of one adapter's requests
makes that adapter wait, not the others. A composition's row is charged to each of its adapters, whatever its
recipe. The turn moves on with every start, by the share of one among those who wait (as the virtual time of
weighted fair queueing does; Parekh and Gallager 1993): else adapters that nobody has seen before, which owe
nothing, would overtake one that has had its turn for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lorayard_workers.engine.request import GenerationRequest

Payers = tuple[str | None, ...]
"""Adapters that a row is charged to; the base model is None."""


def payers_of(request: GenerationRequest) -> Payers:
    """The adapters of a request, also of one whose composition becomes an adapter of its own."""
    if request.composition is None:
        return (request.adapter,)
    return tuple(dict.fromkeys(part.digest for part in request.composition.parts))


@dataclass(slots=True, kw_only=True)
class FairStarts:
    """Turns taken so far."""

    _turn: float = 0.0
    _next: dict[str | None, float] = field(default_factory=dict[str | None, float])  # who is ahead
    _waiting: int = 1  # adapters, when last looked at

    def order(self, rows: Sequence[Payers]) -> list[int]:
        """Indices of waiting rows, given in the order they came, in the order they should start."""
        turns: dict[str | None, float] = {}
        tags: list[tuple[float, int]] = []
        for index, payers in enumerate(rows):
            mine = {payer: turns.get(payer, self._turn_of(payer)) for payer in payers}
            tags.append((max(mine.values()), index))
            turns |= {payer: turn + 1 for payer, turn in mine.items()}
        self._waiting = max(1, len(turns))
        return [index for _, index in sorted(tags)]

    def started(self, payers: Payers) -> None:
        """A row of these adapters has started."""
        mine = {payer: self._turn_of(payer) for payer in payers}
        share = 1 / (self._waiting + 1)  # one more: who has just come must not have lost the turn
        self._turn = max(self._turn + share, min(mine.values()))
        self._next |= {payer: turn + 1 for payer, turn in mine.items()}
        self._next = {payer: turn for payer, turn in self._next.items() if turn > self._turn}

    def _turn_of(self, payer: str | None) -> float:
        return max(self._turn, self._next.get(payer, 0.0))
