"""Counts of plans and hand-overs for a dispatcher's `/metrics`: made only where that is shown."""

from __future__ import annotations

from collections import Counter

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.values import Decision, Phase, Source
from lorayard_schemas.job import Lane
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.histogram import Histogram
from lorayard_shared.metrics.labels import (
    BASE_LABELS,
    COMPOSITION_LABELS,
    AdapterLabels,
    Labels,
    TenantLabels,
)
from lorayard_shared.metrics.readings import Readings


class _OfAdapter:
    """Hand-overs of one adapter."""

    __slots__ = ("cold", "handed", "waited")

    def __init__(self) -> None:
        self.handed = self.cold = 0
        self.waited = 0.0


class _OfTenant:
    """Hand-overs of one tenant."""

    __slots__ = ("handed", "waited")

    def __init__(self) -> None:
        self.handed = 0
        self.waited = 0.0


class PlanMeter:
    """What plans decide.

    Each hand-over comes by here: one look-up finds all counts of its adapter, and members of enumerations
    are keys as they are, for their `value` costs more than the counting.
    """

    def __init__(self, most_adapters: int, most_tenants: int) -> None:
        self.labels = AdapterLabels(most_adapters)
        self.handed = 0
        """Jobs, all."""
        self.largest_tokens = 0.0
        """That a job was expected to cost."""
        self._decisions = Counter[Labels]()
        self._adapters: dict[Labels, _OfAdapter] = {}
        self._tenant_labels = TenantLabels(most_tenants)
        self._tenants: dict[str, _OfTenant] = {}
        # Shown from the start on, so that a rate sees the first.
        self._load_seconds: dict[Phase, float] = {Phase.OVERDUE: 0.0}
        self._waits: dict[str, Histogram] = {lane: Histogram(declared.WAIT) for lane in Lane}
        self._plans = Histogram(declared.PLAN)

    def planned(self, seconds: float) -> None:
        """A plan was made."""
        self._plans.observe(seconds)

    def decided(self, decision: Decision, parked: ParkedJob, now: float) -> None:
        """A job goes to a worker at `now` (unix seconds)."""
        self._decisions[decision.phase, decision.source] += 1
        adapter = self._of(parked)
        self.handed += 1
        adapter.handed += 1
        if decision.source is not Source.SLOT:
            adapter.cold += 1
            spent = self._load_seconds.get(decision.phase, 0.0)
            self._load_seconds[decision.phase] = spent + decision.cost_seconds
        waited = now - parked.taken.enqueued_at
        if waited < 0.0:
            waited = 0.0
        adapter.waited += waited
        address = parked.taken.address
        tenant = self._tenants.get(address.tenant)
        if tenant is None:
            tenant = self._tenants.setdefault(self._tenant_labels.of(address.tenant), _OfTenant())
        tenant.handed += 1
        tenant.waited += waited
        self._waits[address.lane].observe(waited)
        if parked.waiting.tokens > self.largest_tokens:
            self.largest_tokens = parked.waiting.tokens

    def _of(self, parked: ParkedJob) -> _OfAdapter:
        if parked.composition is not None:
            key = COMPOSITION_LABELS
        elif (ref := parked.adapter) is None:
            key = BASE_LABELS
        else:
            key = (ref.name, ref.version)
        known = self._adapters.get(key)
        return self._adapters.setdefault(self.labels.of(*key), _OfAdapter()) if known is None else known

    def read(self, readings: Readings) -> None:
        """All counts, as of now."""
        adapters = self._adapters.items()
        readings.put_all(declared.DECISIONS, self._decisions.items())
        readings.put_all(declared.HANDED, ((labels, counts.handed) for labels, counts in adapters))
        readings.put_all(declared.COLD, ((labels, counts.cold) for labels, counts in adapters))
        readings.put_all(declared.ADAPTER_WAITED, ((labels, counts.waited) for labels, counts in adapters))
        tenants = self._tenants.items()
        readings.put_all(declared.TENANT_JOBS, (((tenant,), counts.handed) for tenant, counts in tenants))
        readings.put_all(declared.TENANT_WAITED, (((tenant,), counts.waited) for tenant, counts in tenants))
        loads = self._load_seconds.items()
        readings.put_all(declared.LOAD_TIME, (((phase.value,), seconds) for phase, seconds in loads))
        readings.put_histograms(declared.WAIT, {(lane,): waits for lane, waits in self._waits.items()})
        readings.put_histograms(declared.PLAN, {(): self._plans})
