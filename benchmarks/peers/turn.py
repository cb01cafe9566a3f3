"""What one turn of a side took, by the clock and in CPU time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Jobs of one side, and what they took."""

    jobs: int
    seconds: float
    cpu_seconds: float
    """Of all its processes, its server's among them: on a machine that others use, this changes less."""

    @property
    def per_second(self) -> float:
        """Jobs by the clock."""
        return self.jobs / self.seconds

    @property
    def cpu_us_per_job(self) -> float:
        """Microseconds of CPU time."""
        return self.cpu_seconds / self.jobs * 1e6

    def __str__(self) -> str:
        return f"{self.per_second:,.0f} jobs/s, {self.cpu_us_per_job:,.0f} us of CPU a job"


def cpu_seconds() -> float:
    """So far, of this process and all that descend from it and live."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
