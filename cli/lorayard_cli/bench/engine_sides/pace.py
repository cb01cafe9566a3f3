"""How many rounds there is time for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Time since the run began, of a budget; None: as long as it takes."""

    budget_seconds: float | None = None
    started: float = field(default_factory=time.monotonic)

    def rounds(self, wanted: int, *, leave_seconds: float = 0.0) -> Iterator[int]:
        """Their numbers: the first always, further ones while the budget has room for one like the last.

        `leave_seconds` of the budget are for what comes after all rounds.
        """
        for number in range(wanted):
            began = time.monotonic()
            yield number
            took = time.monotonic() - began
            if (
                self.budget_seconds is not None
                and self.elapsed() + took > self.budget_seconds - leave_seconds
            ):
                return

    def elapsed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.started
