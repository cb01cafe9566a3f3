"""What a drain did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lorayard.testing.ending import Ended
from lorayard_schemas.result import ResultState


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """Every run in its order, and what is left."""

    runs: tuple[Ended, ...]
    scheduled: int
    """Jobs that wait for their time, or to be tried again."""
    held: int
    """Jobs whose worker was lost, or that the test has taken."""

    def count(self, state: ResultState) -> int:
        """How many jobs ended so."""
        return Counter(run.state for run in self.runs)[state]

    def __str__(self) -> str:
        """For people, a line for each run."""
        left = f"{self.scheduled} scheduled, {self.held} held"
        return "\n".join([f"{len(self.runs)} runs; {left}", *(f"- {run}" for run in self.runs)])
