"""The values a plan is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from lorayard_shared.value import value

BASE_GROUP = ""
"""Group key of base-model jobs: they need no slot and fit everywhere."""

USUAL_TOKENS = 100.0
"""What a job is taken to cost while nobody has said."""


@value
class WaitingJob:
    """One parked job as the planner sees it."""

    key: str
    group: str  # adapter digest, or BASE_GROUP
    tenant: str
    priority: int  # 0 is the most urgent
    enqueued_at: float  # unix seconds
    deadline: float | None = None  # unix seconds
    tokens: float = USUAL_TOKENS  # expected, prompt and completion
    home: str | None = None  # the worker that has the session's conversation in its cache
    moving_seconds: float = 0.0  # of a worker's time, to read the conversation anew elsewhere

    @property
    def order(self) -> tuple[int, float, str]:
        """Urgent before bulk, then the oldest; the key makes it total."""
        return (self.priority, self.enqueued_at, self.key)


Queue = tuple[str, int]
"""Group key and priority: within one, the oldest job is always first."""

Waiting = Mapping[Queue, Sequence[WaitingJob]]
"""Queue -> its jobs, oldest first; no queue is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """An adapter in a slot of a worker, or on its way there."""

    jobs: int = 0  # in flight there that need it: while there are any, its slot cannot be taken
    last_used: float = 0.0  # unix seconds
    loaded_at: float = -math.inf  # unix seconds
    pinned: bool = False
    columns: int = 0  # of the worker's; 0: as many as its record says


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """What the dispatcher believes about one live worker, its own hand-overs included."""

    worker: str
    room: int  # jobs it would take now: free rows, and a few more to hide the way there
    rows: int = 1  # that it decodes at once
    in_flight: int = 0  # jobs it has
    slots: int = 0  # adapter slots in all
    columns: int = 0  # that their adapters share, by rank; 0: only their number counts
    resident: Mapping[str, Resident] = field(default_factory=dict[str, Resident])  # by digest
    host: frozenset[str] = frozenset()  # digests in host memory: a load from there is short
    fetching: frozenset[str] = frozenset()  # digests on their way into host memory
    host_room: int = 0  # adapters that host memory has room for while nothing there makes way
    load_seconds_host: float | None = None  # host -> slot, as measured there; None: not yet
    load_seconds_disk: float | None = None  # disk -> host
    age_seconds: float = 0.0  # since it was last heard
    base_digest: str = ""
    dedicated: str | None = None  # the only digest it serves; not even the base model
    lacks: frozenset[str] = frozenset()  # digests it has said it has no files of
    barred: frozenset[str] = frozenset()  # digests that placement keeps away from it
    composes: bool = False  # whether its engine takes jobs with several adapters

    def serves(
        self, group: str, base: str | None, columns: int, parts: Sequence[str] = (), slots: int = 1
    ) -> bool:
        """Whether it could ever serve a group; `base` is the model its adapter is for (None: any), `columns`
        what it takes of the slots. A composition has `parts`, and a sum takes several `slots`."""
        if self.dedicated not in (None, group):
            return False
        if parts and not self._puts_together(columns, parts, slots):
            return False
        if group == BASE_GROUP:
            return True
        if self.dedicated is None and (self.slots == 0 or 0 < self.columns < columns):
            return False
        return group not in self.lacks and group not in self.barred and base in (None, self.base_digest)

    def _puts_together(self, columns: int, parts: Sequence[str], slots: int) -> bool:
        """Whether it composes, may use every part, and has room for them at once beside what is pinned."""
        if not self.composes or not (self.lacks.isdisjoint(parts) and self.barred.isdisjoint(parts)):
            return False
        if slots == 1:
            return True
        pinned = [found for digest, found in self.resident.items() if found.pinned and digest not in parts]
        taken = sum(found.columns for found in pinned)
        return slots + len(pinned) <= self.slots and (self.columns == 0 or columns + taken <= self.columns)

    @property
    def in_use(self) -> frozenset[str]:
        """Adapters whose slots cannot be taken."""
        return frozenset(d for d, resident in self.resident.items() if resident.jobs or resident.pinned)


class Phase(StrEnum):
    """Why a job went where it went."""

    HAND_OVER = "hand_over"
    """A slot was drained for its adapter, and has come free."""
    OVERDUE = "overdue"
    """It had waited past its bound."""
    SESSION = "session"
    """The worker has the adapter, and its session's conversation."""
    WARM = "warm"
    """The worker holds the adapter."""
    LOAD = "load"
    """No holder had room: loading it here releases the most work for the disturbance."""
    SPILL = "spill"
    """Holders had more work than a further load costs, or demand asks for a further replica."""
    CONSERVE = "conserve"
    """Its tenant is past its share, but nobody else can use the row now."""
    BLIND = "blind"
    """The fleet has not been heard for too long: by hash, with a bound on load."""


class Source(StrEnum):
    """Where an adapter must come from."""

    SLOT = "slot"
    """Nowhere: it is there, or on its way."""
    HOST = "host"
    DISK = "disk"


class Decision(NamedTuple):
    """One job to one worker, and what it was decided on. A tuple: plans are made of thousands a second, and
    a frozen record takes five times as long to make."""

    job: str
    group: str
    worker: str
    phase: Phase
    source: Source = Source.SLOT
    cost_seconds: float = 0.0  # of one worker's time, for the load
    evicts: str | None = None  # the adapter expected to leave
    evicts_more: tuple[str, ...] = ()  # and those that leave with it, for one that takes more columns
    age_seconds: float = 0.0  # of the view

    @property
    def load(self) -> bool:
        """Whether the adapter was not believed to be there."""
        return self.source is not Source.SLOT


class Drain(NamedTuple):
    """An adapter that gets no new rows on a worker, so that its slot comes free for another."""

    worker: str
    adapter: str
    for_group: str  # that waits for it


class Prefetch(NamedTuple):
    """An adapter that a worker should bring into host memory while it decodes."""

    worker: str
    adapter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to hand over now; every job at most once, no worker past its room."""

    decisions: tuple[Decision, ...] = ()
    drains: tuple[Drain, ...] = ()
    prefetches: tuple[Prefetch, ...] = ()
