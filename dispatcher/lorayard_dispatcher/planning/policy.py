"""The constants of planning; every one a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lorayard_dispatcher.planning.values import WaitingJob, WorkerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an operator decides; seconds are seconds of one worker's time."""

    wait_bound_seconds: tuple[float, ...] = (4.0, 8.0, 15.0, 30.0)
    """By priority: a job that has waited longer is overdue, and goes before warm work."""
    overdue_share: float = 0.15
    """Of a worker's time that loads for overdue jobs may take: without a budget an age rule turns overload
    into first-in-first-out and halves throughput."""
    quantum_tokens: float = 2000.0
    """How far a tenant may run ahead of the least served one that waits: 0 is strict turns, which break up
    groups of one adapter; infinity is no fairness."""
    tenant_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Shares; 1 for everybody else."""
    load_seconds_host: float = 0.03
    """Host memory to slot, until a worker has measured it."""
    load_seconds_disk: float = 0.3
    """Disk to host memory, until a worker has measured it."""
    stall: float = 0.0
    """Part of decode speed that is lost while an adapter is loaded; our engine loses next to none."""
    service_seconds: float = 4.0
    """A job's usual time in a row."""
    spill: float = 1.0
    """A further copy of an adapter is loaded when the wait for its holders is longer than this many loads."""
    replica_share: float = 0.5
    """One replica of a hot adapter is meant to use this share of a worker's rows."""
    resident_seconds: float = 1.0
    """No adapter with waiting work is evicted sooner after its load."""
    turn_seconds: float = 1.5
    """No adapter is drained for another sooner after its load."""
    early_reads: int = 2
    """Adapters that a worker may be committed to read from disk at once: more would only wait for its disk,
    in slots. Beyond that a worker first brings an adapter into host memory, and the jobs stay free to go
    elsewhere meanwhile."""
    fetch_seconds: float = 2.0
    """A copy in host memory is waited for no longer: then the worker is given the job and loads by itself."""
    prewarm_copies: int = 3
    """In host memory, of adapters that are asked for; one of each that is registered. They are brought there
    while disks are idle and memory is free; 0: only what jobs wait for is."""
    alike_seconds: float = 2.0
    """Jobs whose ages differ by less count as equally old where many wait: of their groups those that a
    worker decodes go first, the smallest first. It is soon done, and leaves its slot, while a large one fills
    the rows; and steps with few adapters are shorter. 0: strictly by age."""
    look_seconds: float = 0.05
    """Between two looks at what no event brings up: jobs become overdue, waits long, drains due."""
    queue_from: float = 4.0
    """Waiting jobs per worker from which workers get jobs to queue behind their rows. That hides the way
    to them, which costs throughput under load; with less work a queued job would miss a row elsewhere."""
    sample: int = 24
    """Groups looked at for a load: so many of the oldest and so many of the largest."""
    stale_seconds: float = 1.5
    """Past this age a view's load is not believed, only what was handed over from here."""
    base_of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Adapter digest -> digest of the base model it fits."""
    columns_of: Mapping[str, int] = field(default_factory=dict[str, int])
    """Adapter digest -> what it takes of the columns that a worker's slots share."""
    bytes_of: Mapping[str, int] = field(default_factory=dict[str, int])
    """Adapter digest -> size of its file: loads take as long as there is to copy."""

    worth_of: Mapping[str, float] = field(default_factory=dict[str, float])
    """Adapter digest -> what one of its jobs counts beside usual ones where loads, evictions, drains and
    copies are weighed; without an entry 1. It is asked for nothing while it is empty."""

    parts_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Composition -> the adapters that it is made of. One that has columns of its own is derived from them,
    and takes one slot; any other is their sum, and takes a slot and the columns of each."""

    def sum_of(self, group: str) -> tuple[str, ...]:
        """The adapters that must be in slots together for a group; none for what is one adapter."""
        return () if group in self.columns_of else self.parts_of.get(group, ())

    def columns(self, group: str) -> int:
        """What a group takes of a worker's columns in all; 0: nobody knows."""
        parts = self.sum_of(group)
        return sum(self.columns_of.get(part, 0) for part in parts) if parts else self.columns_of.get(group, 0)

    def fits(self, view: WorkerView, group: str) -> bool:
        """Whether a worker could ever serve a group."""
        parts, slots = self.parts_of.get(group, ()), len(self.sum_of(group)) or 1
        return view.serves(group, self.base_of.get(group), self.columns(group), parts, slots)

    def worth(self, group: str) -> float:
        """What one job of an adapter counts."""
        return self.worth_of.get(group, 1.0)

    def late_at(self, enqueued_at: float, priority: int) -> float:
        """When a job without a deadline becomes overdue, unix seconds."""
        bounds = self.wait_bound_seconds
        return enqueued_at + (bounds[priority] if priority < len(bounds) else bounds[-1])

    def earliest_late(self, now: float) -> float:
        """What came later cannot be overdue, whatever its lane."""
        return now - min(self.wait_bound_seconds) + 1.0  # whatever the sums are rounded to

    def bound(self, job: WaitingJob) -> float:
        """When the job becomes overdue, unix seconds: to meet a deadline it starts a service earlier."""
        late = self.late_at(job.enqueued_at, job.priority)
        return late if job.deadline is None else min(late, job.deadline - self.service_seconds)

    def weight(self, tenant: str) -> float:
        """A tenant's share."""
        return self.tenant_weights.get(tenant, 1.0)
