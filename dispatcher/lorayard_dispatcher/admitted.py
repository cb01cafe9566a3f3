"""Jobs that were let in under limits, and what was counted for each: never twice for one job."""

from __future__ import annotations

from collections.abc import Iterator

from lorayard_dispatcher.limiting.gate import Cost, Gate

Name = tuple[str, str]
"""Tenant and job id: the same for every delivery and every attempt."""


class Charge:
    """What one job was counted as."""

    __slots__ = ("cost", "gates", "since", "until")

    def __init__(self, gates: tuple[Gate, ...], cost: Cost, since: float, until: float) -> None:
        """Monotonic seconds: it came at `since`, and goes in at `until`."""
        self.gates = gates
        self.cost = cost
        self.since = since
        self.until = until


class Admitted:
    """By job."""

    def __init__(self) -> None:
        self._charges: dict[Name, Charge] = {}

    def __len__(self) -> int:
        return len(self._charges)

    def __iter__(self) -> Iterator[tuple[Name, Charge]]:
        return iter(list(self._charges.items()))

    def get(self, name: Name) -> Charge | None:
        """What was counted for a job, if anything."""
        return self._charges.get(name)

    def put(self, name: Name, charge: Charge) -> None:
        """It is pending from here on, and its gates have counted it."""
        self._charges[name] = charge

    def take(self, name: Name) -> Charge | None:
        """It is pending no more, or not here."""
        charge = self._charges.pop(name, None)
        if charge is not None:
            for gate in charge.gates:
                gate.release(charge.cost)
        return charge
