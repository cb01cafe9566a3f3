"""Counts of plans and hand-overs for a dispatcher's `/metrics`: made only where that is shown."""

from __future__ import annotations

from collections import Counter

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.values import Decision
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.histogram import Histogram
from lorayard_shared.metrics.labels import AdapterLabels, Labels
from lorayard_shared.metrics.readings import Readings


class PlanMeter:
    """What plans decide."""

    def __init__(self, most_adapters: int) -> None:
        self.labels = AdapterLabels(most_adapters)
        self.largest_tokens = 0.0
        """That a job was expected to cost."""
        self._decisions = Counter[Labels]()
        self._handed = Counter[Labels]()
        self._cold = Counter[Labels]()
        self._waits: dict[Labels, Histogram] = {}
        self._plans = Histogram(declared.PLAN)

    def planned(self, seconds: float) -> None:
        """A plan was made."""
        self._plans.observe(seconds)

    def decided(self, decision: Decision, parked: ParkedJob, now: float) -> None:
        """A job goes to a worker at `now` (unix seconds)."""
        self._decisions[(decision.phase.value, decision.source.value)] += 1
        adapter = self._adapter(parked)
        self._handed[adapter] += 1
        if decision.load:
            self._cold[adapter] += 1
        lane = (parked.taken.address.lane.value,)
        waits = self._waits.get(lane)
        if waits is None:
            waits = self._waits[lane] = Histogram(declared.WAIT)
        waits.observe(max(0.0, now - parked.taken.enqueued_at))
        if parked.waiting.tokens > self.largest_tokens:
            self.largest_tokens = parked.waiting.tokens

    def _adapter(self, parked: ParkedJob) -> Labels:
        if parked.composition is not None:
            return self.labels.of(declared.COMPOSITION)
        if (ref := parked.adapter) is None:
            return self.labels.of(declared.BASE)
        return self.labels.of(ref.name, ref.version)

    def read(self, readings: Readings) -> None:
        """All counts, as of now."""
        readings.put_all(declared.DECISIONS, self._decisions.items())
        readings.put_all(declared.HANDED, self._handed.items())
        readings.put_all(declared.COLD, self._cold.items())
        readings.put_histograms(declared.WAIT, self._waits)
        readings.put_histograms(declared.PLAN, {(): self._plans})
