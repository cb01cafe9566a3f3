"""One worker while plans are made: its room, rows, slots and adapters, with what was given away laid over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WorkerView

FORGET = 3.0
"""Times the patience with a copy: whoever asked has been served by then, or has gone."""
MOST_ASKED = 256

KEEPING_ROWS = 8
"""Workers with fewer rows cannot spare one."""


class Desk:
    """One worker."""

    __slots__ = (
        "_columns_of",
        "_mean_bytes",
        "_parts_of",
        "_policy",
        "asked",
        "budget_at",
        "budget_seconds",
        "drain",
        "emptied",
        "fetching",
        "free_columns",
        "free_slots",
        "host",
        "idle_pins",
        "in_flight",
        "is_even",
        "is_free",
        "is_open",
        "is_plain",
        "jobs",
        "left",
        "name",
        "read",
        "reads",
        "resident",
        "room",
        "rows",
        "sums",
        "view",
    )

    def __init__(self, view: WorkerView, policy: Policy) -> None:
        self.name = view.worker
        self._columns_of, self._parts_of, self._policy = policy.columns_of, policy.parts_of, policy
        self.sums: dict[str, tuple[str, ...]] = {}
        """Sums of adapters that jobs wait for, and that are all in its slots: by group, what they are of."""
        self.drain: tuple[str, str] | None = None
        """The adapter that gets no new rows here, and the group that its slot is for."""
        self.emptied: set[str] = set()
        """Adapters that were drained for the same group before, and were not enough."""
        self.left: dict[str, None] = {}
        """Adapters that had to leave for others, while views may not know it; the first to leave first."""
        self._mean_bytes: float | None = None
        self.budget_seconds = 0.0
        self.budget_at: float | None = None
        self.resident: Mapping[str, Resident] = {}
        self.jobs: dict[str, int] = {}
        self.host: frozenset[str] = frozenset()
        self.fetching: set[str] = set()
        self.asked: dict[str, float] = {}
        """Adapter -> when it was first to be fetched, unix seconds; until it is in host memory."""
        self.is_open = self.is_free = False
        """Whether it stands in the lists of those with room, and with rows that are free."""
        self.read: tuple[str, float] | None = None
        """What it was last told to fetch, and when (unix seconds)."""
        self.reads: dict[str, float] = {}
        """Adapters that it was committed to load from disk -> when; until they are in host memory."""
        self.take(view)

    def reader_is_idle(self, now: float, patience: float) -> bool:
        """Whether nothing is on its way into host memory, by its word and by what it was told since."""
        if self.fetching:
            return False
        return self.read is None or self.read[0] in self.host or not 0.0 <= now - self.read[1] < patience

    def waits_for_copy(self, group: str, now: float, patience: float) -> bool:
        """Whether a copy was asked for not long ago; one that nobody waited for in the end is forgotten."""
        asked = self.asked.get(group)
        return asked is not None and asked <= now < asked + FORGET * patience

    def reading(self, now: float, patience: float) -> int:
        """How many adapters it is committed to read from disk; one that takes longer is not waited for."""
        return sum(0.0 <= now - at < patience for at in self.reads.values())

    def budget(self, now: float, share: float, most: float) -> float:
        """Seconds of loading that overdue jobs may take now; it fills up by `share` of the time."""
        since = 0.0 if self.budget_at is None else max(0.0, now - self.budget_at)
        self.budget_seconds = (
            most if self.budget_at is None else min(most, self.budget_seconds + since * share)
        )
        self.budget_at = now
        return self.budget_seconds

    def take(self, view: WorkerView) -> None:
        """Begin anew from a view."""
        self.view = view
        self.rows = view.rows if view.rows > 1 else 1
        self.room = view.room
        self.in_flight = view.in_flight
        resident = self.resident = view.resident  # never changed: replaced by one that is
        if self.left:
            resident = self._leave_out()
        jobs: dict[str, int] = {}
        idle_pins = 0
        for digest, found in resident.items():
            if found.jobs:
                jobs[digest] = found.jobs
            elif found.pinned:
                idle_pins += 1
        self.jobs, self.idle_pins = jobs, idle_pins
        self.host = view.host
        self.fetching = set(view.fetching)
        if self.reads:
            self.reads = {
                digest: at
                for digest, at in self.reads.items()
                if digest in self.resident and digest not in self.host
            }
        free = view.slots - len(resident)
        self.free_slots = free if free > 0 else 0
        self.free_columns = max(0, view.columns - self.taken_columns(resident)) if view.columns else 0
        self._mean_bytes = None
        if self.emptied:
            self.emptied = {digest for digest in self.emptied if digest in self.resident}
        self.is_plain = view.slots > 0 and view.dedicated is None and not view.lacks and not view.barred
        # That it takes any adapter of its base model. Asked of many workers for each decision: their views,
        # just come, would be a walk through cold memory.
        self.is_even = self.is_plain and not view.columns

    def _leave_out(self) -> Mapping[str, Resident]:
        """Of a view that shows more than its slots hold, beside what is on its way: what had to leave for it.
        Jobs given to that would wait for a slot there."""
        view, resident = self.view, dict(self.resident)
        self.resident = resident
        for digest in list(self.left):
            found = resident.get(digest)
            crowded = len(resident) > view.slots or self.taken_columns(resident) > view.columns > 0
            if found is None or not crowded or found.jobs or found.pinned:
                del self.left[digest]  # it has left, or another one has
            else:
                del resident[digest]
        return resident

    @property
    def spare(self) -> int:
        """Room that is not kept for the group that a slot is drained for."""
        return self.room - 1 if self.drain is not None else self.room

    @property
    def kept(self) -> int:
        """Room that tenants past their share leave to whoever comes next; small workers cannot spare any."""
        return int(self.rows >= KEEPING_ROWS)

    @property
    def free_rows(self) -> int:
        """Jobs that would start at once."""
        spare, rows = self.spare, self.rows - self.in_flight
        return spare if spare < rows else rows

    def gives(self, group: str) -> bool:
        """Whether new rows of an adapter that it holds may start here."""
        if self.drain is None:
            return True
        drained = self.drain[0]
        parts = self.sums.get(group) or (group,)
        return drained not in parts and self.emptied.isdisjoint(parts)

    def drainable(self, group: str) -> list[tuple[str, int]]:
        """Adapters in use that may make way for a group, which are none of its own, and their jobs."""
        parts = self._parts_of.get(group, ())
        return [(digest, jobs) for digest, jobs in self.jobs.items() if digest not in parts]

    def missing(self, group: str) -> tuple[str, ...]:
        """The adapters that have to come into slots for a group that is not here."""
        parts = self._policy.sum_of(group) if self._parts_of else ()
        return tuple([part for part in parts if part not in self.resident]) if parts else (group,)

    def columns(self, group: str) -> int:
        """What an adapter takes of its slots' columns, or what a sum lacks of them; 0 where only their number
        counts."""
        if self.view.columns == 0:
            return 0
        if self._parts_of and self._policy.sum_of(group):
            return self.taken_columns(self.missing(group))
        found = self.resident.get(group)
        return (found.columns if found is not None else 0) or self._columns_of.get(group, 0)

    def taken_columns(self, groups: Iterable[str]) -> int:
        """The same of several."""
        return sum(self.columns(group) for group in groups)

    def lacks_room(self, group: str) -> bool:
        """Whether something has to leave for an adapter."""
        if not self._parts_of and not self.view.columns:  # most often, and of a whole fleet
            return self.free_slots <= 0
        return self.free_slots < len(self.missing(group)) or self.columns(group) > self.free_columns

    def mean_bytes(self, bytes_of: Mapping[str, int]) -> float:
        """Of the adapters in its slots: what its loads were measured with; 0: nobody knows."""
        if self._mean_bytes is None:
            known = [size for digest in self.resident if (size := bytes_of.get(digest))]
            self._mean_bytes = sum(known) / len(known) if known else 0.0
        return self._mean_bytes

    def add(self, group: str) -> None:
        """One more job of a group whose adapter is here, or needs none."""
        self.room -= 1
        self.in_flight += 1
        if group in self.sums:
            for part in self.sums[group]:
                self.jobs[part] = self.jobs.get(part, 0) + 1
        elif group != BASE_GROUP:
            self.jobs[group] = self.jobs.get(group, 0) + 1

    @property
    def slots_in_use(self) -> int:
        """Slots that cannot be taken. An adapter on its way is beside the one it will replace in a view."""
        return len(self.jobs) + self.idle_pins

    def serves_as(self, view: WorkerView) -> bool:
        """Whether by this view the worker fits the same groups as before."""
        was = self.view
        return (
            was.base_digest == view.base_digest
            and was.dedicated == view.dedicated
            and was.lacks == view.lacks
            and was.barred == view.barred
            and was.composes == view.composes
            and bool(was.slots) == bool(view.slots)
        )

    def fits(self, group: str, base: str | None) -> bool:
        """Whether it could ever serve the group."""
        view = self.view
        if self._parts_of and group in self._parts_of:
            return self._policy.fits(view, group)
        if self.is_plain:  # almost every worker
            if view.columns and self._columns_of.get(group, 0) > view.columns:
                return False
            return base is None or base == view.base_digest or group == BASE_GROUP
        return view.serves(group, base, self._columns_of.get(group, 0))
