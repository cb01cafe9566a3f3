"""What is measured while a modelled yard runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from lorayard_cli.simulation.router import Sight

LEAST_MEAN_JOBS = 1.0
"""Jobs per worker below which their spread is not counted: one job on one of eight is no imbalance."""


GROWTH_SHARE = 0.4
"""Of the arrivals, that lies between the two tenths whose waiting jobs are compared."""


class Meters:
    """Samples taken with every report, while jobs come in or wait."""

    def __init__(self, arrivals_end: float) -> None:
        self.plan_seconds: list[float] = []
        self._arrivals_end = arrivals_end
        self._spread: list[float] = []
        self._unstarted: list[tuple[float, int]] = []

    def sample(self, now: float, sights: Sequence[Sight], unstarted: int) -> None:
        """Count what is where; `unstarted` jobs have no row."""
        if now > self._arrivals_end and not unstarted:
            return
        in_flight = [sight.view.in_flight for sight in sights]
        mean = fmean(in_flight)
        if mean >= LEAST_MEAN_JOBS:
            self._spread.append(max(in_flight) / mean)
        self._unstarted.append((now, unstarted))

    @property
    def spread(self) -> float:
        """Most jobs on one worker / the mean, averaged."""
        return fmean(self._spread) if self._spread else 1.0

    @property
    def worst_spread(self) -> float:
        """The same at its worst."""
        return max(self._spread, default=1.0)

    @property
    def grown_jobs(self) -> float:
        """Jobs without a row in the last tenth of the arrivals, less those in the tenth after half-time."""
        end = self._arrivals_end
        late = [count for at, count in self._unstarted if 0.9 * end <= at <= end]
        middle = [count for at, count in self._unstarted if 0.5 * end <= at < 0.6 * end]
        return fmean(late) - fmean(middle) if late and middle else 0.0
