"""The values a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

BASE_GROUP = ""
"""Group key of base-model jobs: they need no slot and fit everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """One parked job as the planner sees it."""

    key: str
    group: str  # adapter digest, or BASE_GROUP
    tenant: str
    priority: int  # 0 is the most urgent
    enqueued_at: float  # unix seconds
    deadline: float | None = None  # unix seconds

    @property
    def order(self) -> tuple[int, float, str]:
        """Urgent before bulk, then the oldest; the key makes it total."""
        return (self.priority, self.enqueued_at, self.key)


Queue = tuple[str, int]
"""Group key and priority: within one, the oldest job is always first."""

Waiting = Mapping[Queue, Sequence[WaitingJob]]
"""Queue -> its jobs, oldest first; no queue is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """What the dispatcher believes about one live worker, its own hand-overs included."""

    worker: str
    room: int  # jobs it would take now
    holds: frozenset[str] = frozenset()  # digests in slots, or on the way there
    host: frozenset[str] = frozenset()  # digests in host memory: cheaper to load than from disk
    in_use: frozenset[str] = frozenset()  # digests of jobs it has now: their slots can't be taken
    slots: int = 0  # adapter slots in all
    base_digest: str = ""
    dedicated: str | None = None  # the only digest it serves; not even the base model
    lacks: frozenset[str] = frozenset()  # digests it has said it has no files of


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The constants of planning."""

    wait_bound_seconds: tuple[float, ...] = (4.0, 8.0, 15.0, 30.0)
    overdue_loads: int = 1
    """Cold placements per worker and plan that overdue jobs may force: without a budget an age rule turns
    overload into first-in-first-out and halves throughput."""
    base_of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Adapter digest -> digest of the base model it fits."""

    def bound(self, job: WaitingJob) -> float:
        """When the job becomes overdue, unix seconds."""
        return job.enqueued_at + self.wait_bound_seconds[min(job.priority, len(self.wait_bound_seconds) - 1)]


class Phase(StrEnum):
    """Why a job went where it went."""

    OVERDUE = "overdue"
    """It had waited past its bound."""
    WARM = "warm"
    """The worker holds the adapter."""
    COLD = "cold"
    """No holder had room: the oldest job goes to a worker that has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One job to one worker."""

    job: str
    group: str
    worker: str
    phase: Phase
    load: bool  # the adapter was not believed to be there


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """An adapter that gets no new rows on a worker, so that a slot comes free for an overdue one."""

    worker: str
    adapter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to hand over now; every job at most once, no worker past its room."""

    decisions: tuple[Decision, ...] = ()
    drains: tuple[Drain, ...] = ()
