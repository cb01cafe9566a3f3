"""Jobs that were let in under limits, and what was counted for each: never twice for one job."""

from __future__ import annotations

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


class Admitted(dict[Name, Charge]):
    """By job: pending from when it is put here, and counted by its gates before."""

    def take(self, name: Name) -> Charge | None:
        """It is pending no more, or not here."""
        charge = self.pop(name, None)
        if charge is not None:
            for gate in charge.gates:
                gate.release(charge.cost)
        return charge
