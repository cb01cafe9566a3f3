"""How long jobs have a worker, as measured: what is needed to tell a backlog in seconds.

By Little's law it is the jobs at workers over the rate at which they are handed over, both lately.
"""

from __future__ import annotations

HALF_LIFE_SECONDS = 60.0
"""So long counts for half: a minute is long beside a job, and short beside a change of traffic."""

LEAST_JOBS = 8.0
"""Fewer tell nothing yet, and the usual time holds."""


class ServicePace:
    """Seconds of a job at its worker."""

    def __init__(self, usual_seconds: float) -> None:
        self._usual = usual_seconds
        self._job_seconds = self._jobs = 0.0
        self._handed = 0

    @property
    def seconds(self) -> float:
        """Of one job."""
        return self._usual if self._jobs < LEAST_JOBS else self._job_seconds / self._jobs

    def look(self, seconds: float, *, in_flight: int, handed: int) -> None:
        """For so long as many jobs have been at workers; `handed` over were so many, ever."""
        kept = 0.5 ** (seconds / HALF_LIFE_SECONDS)
        self._job_seconds = self._job_seconds * kept + in_flight * seconds
        self._jobs = self._jobs * kept + (handed - self._handed)
        self._handed = handed
