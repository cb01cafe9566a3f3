"""One job on its way through a modelled yard."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_dispatcher.planning.values import WaitingJob


@dataclass(slots=True, kw_only=True)
class SimulatedJob:
    """A job, what it will really take, and what became of it. Times are seconds of the run."""

    waiting: WaitingJob
    tokens: float  # that it will really take
    kind: str = ""  # of adapter, for the result: "hot", "cold" ...
    worker: str | None = None
    handed_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    missed: bool = False  # its adapter was in no slot when it could have had a row

    @property
    def key(self) -> str:
        """Its key."""
        return self.waiting.key

    @property
    def adapter(self) -> str:
        """Digest, or BASE_GROUP."""
        return self.waiting.group
