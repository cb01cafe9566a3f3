"""How long an engine's steps take, and what they compute."""

from __future__ import annotations

from lorayard_shared.metrics.declared import STEPS
from lorayard_shared.metrics.histogram import Histogram
from lorayard_workers.engine.residency import StepCounts


class StepTimes:
    """Counts on the engine's thread; snapshots of them may go anywhere."""

    def __init__(self) -> None:
        self._times = Histogram(STEPS)
        self._tokens = 0

    def took(self, seconds: float, tokens: int) -> None:
        """A step has ended that computed so many tokens."""
        self._times.observe(seconds)
        self._tokens += tokens

    def counts(self) -> StepCounts:
        """As of now."""
        return StepCounts(times=self._times.counts(), tokens=self._tokens)
