"""One worker as a dispatcher knows it: its last words, and what was handed over to it since.

Residency ages well, load does not. So an adapter that was said to be in a slot is believed for long, and how
much a worker has to do only while it is heard: after that only what was handed over from here counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WorkerView
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_shared.bus.topology import WORKER_TTL_SECONDS

STALE_SECONDS = 1.5
"""Workers beat each second, so past this a beat was lost."""

SILENT_SECONDS = 15.0
"""Residency older than this is not believed, and the worker gets nothing."""

REST_SECONDS = 1.0
"""A worker that refuses what it says it takes is asked again no sooner: about once per beat."""
MOST_REST_SECONDS = 60.0
LAPSES_FORGOTTEN_SECONDS = 600.0

MOST_DOUBTFUL = 16
"""Hand-overs without an answer: one takes seconds, and after half a minute the server gives their jobs out
again."""

MOST_ROWS = 4096
MOST_SLOTS = 1024
MOST_ROOM = 8192
MOST_HOST_ROOM = 8192
MOST_COLUMNS = 2**20
MOST_LOAD_SECONDS = 600.0
"""No worker can be set up for more: whoever says so is wrong, and must not draw all the work to itself."""


class Standing(StrEnum):
    """What a worker's word is worth now."""

    FRESH = "fresh"
    """All of it."""
    STALE = "stale"
    """Its adapters are believed, its load is not."""
    OUT = "out"
    """It gets nothing: silent, stopping, paused, out of reach, kept for a job that is to run alone, or
    resting after it contradicted itself."""


@dataclass(slots=True)
class KnownWorker:
    """One life of one worker. Times are monotonic seconds of this process."""

    advert: WorkerAdvert
    load: WorkerLoad
    advert_at: float
    heard_at: float  # advert, load report or answer
    load_at: float  # of the report that is believed
    given: dict[int, dict[str, HeldJob]] = field(default_factory=dict[int, dict[str, HeldJob]])
    """By number of the hand-over: not known to be there yet."""
    doubtful: dict[int, dict[str, HeldJob]] = field(default_factory=dict[int, dict[str, HeldJob]])
    """The same, where no answer came: there or not, so they take no room."""
    held: dict[str, HeldJob] = field(default_factory=dict[str, HeldJob])
    lacks: set[str] = field(default_factory=set[str])
    barred: frozenset[str] = frozenset()  # adapters that may not be here
    ordered: frozenset[str] = frozenset()  # adapters it was asked to fetch, and may be fetching
    loaded_at: dict[str, float] = field(default_factory=dict[str, float])
    suspect: bool = False  # until its next advert
    reserved: bool = False  # kept for one job that is to run alone
    rests_until: float = -math.inf
    lapses: int = 0  # in a row
    host: frozenset[str] = frozenset()
    fetching: frozenset[str] = frozenset()

    @classmethod
    def met(cls, advert: WorkerAdvert, now: float) -> KnownWorker:
        """A worker of which this is the first advert."""
        known = cls(advert, advert.load, advert_at=now, heard_at=now, load_at=now)
        known._note_adapters(now)
        return known

    @property
    def jobs(self) -> Iterator[HeldJob]:
        """Everything handed over from here and not known to have ended."""
        yield from self.held.values()
        yield from self._unseen

    @property
    def _unseen(self) -> Iterator[HeldJob]:
        for jobs in self.given.values():
            yield from jobs.values()

    def serves(
        self, group: str, base_digest: str | None, columns: int, parts: Sequence[str] = (), slots: int = 1
    ) -> bool:
        """Whether it could ever serve a group: its adapter is for a base model (None: any), and takes so many
        columns of the slots. A composition has `parts`, and a sum takes several `slots`."""
        advert = self.advert
        if advert.dedicated not in (None, group):
            return False
        if parts and not (advert.composes and slots <= advert.slot_count and self.lacks.isdisjoint(parts)):
            return False
        if group == BASE_GROUP:
            return True
        if advert.dedicated is None and (advert.slot_count == 0 or 0 < advert.columns_total < columns):
            return False
        return group not in self.lacks and base_digest in (None, advert.base_digest)

    def standing(self, now: float) -> Standing:
        """What its word is worth."""
        if (
            self.reserved
            or self.suspect
            or self.load.draining
            or self.load.paused
            or self.advert.trouble
            or now <= self.rests_until
        ):
            return Standing.OUT
        if now > self.advert_at + SILENT_SECONDS:
            return Standing.OUT
        return Standing.STALE if now > self.heard_at + STALE_SECONDS else Standing.FRESH

    def is_heard(self, now: float) -> bool:
        """Whether it has spoken just now, well or not."""
        return now <= self.heard_at + STALE_SECONDS

    def next_turn(self, now: float) -> float:
        """When its standing may change though nothing is heard; infinity: never."""
        turns = (self.heard_at + STALE_SECONDS, self.advert_at + SILENT_SECONDS, self.rests_until)
        return min((turn for turn in turns if turn >= now), default=math.inf)

    def rest_after_lapse(self, now: float) -> None:
        """It let leases run out: longer each time, but several at once are one."""
        if now <= self.rests_until:
            return
        if now > self.rests_until + LAPSES_FORGOTTEN_SECONDS:
            self.lapses = 0
        self.rests_until = now + min(REST_SECONDS * 2**self.lapses, MOST_REST_SECONDS)
        self.lapses += 1

    def doubt(self, number: int, jobs: dict[str, HeldJob]) -> None:
        """Nobody has answered a hand-over: a later report tells what came of it."""
        self.doubtful[number] = jobs
        while len(self.doubtful) > MOST_DOUBTFUL:
            del self.doubtful[min(self.doubtful)]

    def let_go(self, key: str) -> None:
        """A job is not its own any more."""
        for jobs in (self.held, *self.given.values(), *self.doubtful.values()):
            jobs.pop(key, None)

    def is_quiet(self, now: float) -> bool:
        """Whether its last advert is older than it would be of a worker that lives.

        So whatever else comes under its name is the truth: that one was forged, or of a life that is over.
        """
        return now - self.advert_at > WORKER_TTL_SECONDS

    def take_advert(self, advert: WorkerAdvert, now: float) -> None:
        """Its newest advert. A repeated one says nothing about how it is now."""
        if advert.sequence != self.advert.sequence:
            self.advert_at = self.heard_at = now
            self.suspect = False
        if advert.folder_changes != self.advert.folder_changes:
            self.lacks.clear()
        self.advert = advert
        self._note_adapters(now)

    def take_load(self, load: WorkerLoad, dispatcher: str, now: float) -> bool:
        """Its newest report; an older one is ignored. Returns whether it had to go back to a lower number.

        A worker tells a higher one each second, so a number that stands for longer was not its own.
        """
        went_back = load.number < self.load.number
        if went_back and now - self.load_at <= WORKER_TTL_SECONDS:
            return False
        if load.number != self.load.number:
            self.heard_at = max(now, self.heard_at)
            self.load_at = now
        self.load = load
        seen = load.seen.get(dispatcher, 0)
        for number in [n for n in self.doubtful if n <= seen]:
            self.held.update(self.doubtful.pop(number))
        for number in [n for n in self.given if n <= seen]:
            # Its answer is on the way; what was refused is not in `holding` and falls out below.
            self.held.update(self.given[number])
            self.given[number] = {}
        holding = set(load.holding)
        for key in [key for key in self.held if key not in holding]:
            del self.held[key]
        return went_back

    def view(self, now: float, unix: float) -> WorkerView:
        """What the planner sees; `unix` is the wall clock at `now`."""
        advert = self.advert
        room, in_flight = self._load(now)
        return WorkerView(
            worker=advert.worker,
            room=min(max(0, room), MOST_ROOM),
            rows=min(advert.rows_max, MOST_ROWS),
            in_flight=in_flight,
            slots=min(advert.slot_count, MOST_SLOTS),
            columns=min(advert.columns_total, MOST_COLUMNS),
            resident=self._resident(now, unix),
            host=self.host,
            fetching=self.ordered.union(self.fetching).difference(self.host)
            if self.ordered
            else self.fetching,
            host_room=min(advert.host_room, MOST_HOST_ROOM),
            load_seconds_host=_seconds(advert.load_ms_host),
            load_seconds_disk=_seconds(advert.load_ms_disk),
            age_seconds=max(0.0, now - self.heard_at),
            base_digest=advert.base_digest,
            dedicated=advert.dedicated,
            lacks=frozenset(self.lacks),
            barred=self.barred,
            composes=advert.composes,
        )

    def _load(self, now: float) -> tuple[int, int]:
        """Room and jobs in flight: as told, with what it has not seen; by own hand-overs when stale."""
        unseen = sum(len(jobs) for jobs in self.given.values())
        room, holding = self.load.room, len(self.load.holding)
        if self.standing(now) is Standing.STALE:
            own = len(self.held) + unseen
            return room + holding - own, own
        return room - unseen, holding + unseen

    def _note_adapters(self, now: float) -> None:
        """Once per advert, as a view is made for each hand-over."""
        self.host, self.fetching = frozenset(self.advert.host), frozenset(self.advert.loading)
        there = {slot.digest for slot in self.advert.slots}
        for digest in [digest for digest in self.loaded_at if digest not in there]:
            del self.loaded_at[digest]
        for digest in there:
            self.loaded_at.setdefault(digest, now)

    def _resident(self, now: float, unix: float) -> dict[str, Resident]:
        """As advertised, with the adapters of its jobs, and those of our own that it has not seen yet."""
        jobs, columns = Counter[str](), dict[str, int]()
        for job in self.jobs:
            jobs.update(job.adapters)
            if job.columns:
                columns[job.group] = job.columns
        found = {
            slot.digest: Resident(
                jobs=max(slot.rows, jobs[slot.digest]),
                # By its clock it was idle so long; its clock may be wrong, but not between the two.
                last_used=unix - (now - self.advert_at) - max(0.0, self.advert.at - slot.last_used),
                loaded_at=unix - (now - self.loaded_at[slot.digest]),
                pinned=slot.pinned,
                columns=min(slot.columns, MOST_COLUMNS),
            )
            for slot in self.advert.slots
        }
        for digest in {self.advert.dedicated} - {None} | jobs.keys():
            if digest is not None and digest not in found:
                taken = columns.get(digest, 0)
                found[digest] = Resident(jobs=jobs[digest], last_used=unix, loaded_at=unix, columns=taken)
        return found


def _seconds(milliseconds: float) -> float | None:
    """As measured; None: not yet."""
    return min(milliseconds / 1000, MOST_LOAD_SECONDS) or None
