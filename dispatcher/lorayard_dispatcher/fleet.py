"""What the dispatcher believes about the workers: their adverts, with its own hand-overs laid over them.

Residency is believed from adverts; load only from reports that say which assignments they have seen, so a
plan made on an old view never gives the same room away twice (docs/architecture.md, The dispatcher). A
planner that keeps an index asks for what has changed; a worker that falls silent is such a change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.known_worker import REST_SECONDS, SILENT_SECONDS, KnownWorker, Standing
from lorayard_dispatcher.planning.values import WorkerView
from lorayard_dispatcher.turns import Turns
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import RefusalReason, WorkerLoad
from lorayard_schemas.names import split_version

SETTLED_SECONDS = 30.0
"""A crashed worker is back long before: until then a base model that nobody has may still come."""

JUMP_SECONDS = 1.0
"""A wall clock that gained or lost so much was set: what was told in unix seconds is told again."""

MAX_NUMBER = 2**62
"""A worker that claims to have seen a higher one lies; above it numbers would soon fit no message."""


class Fleet:
    """The live workers. Times are monotonic seconds, but for those in views: unix seconds, as planners use.

    What is unix is made of an age and the wall clock of the asking, so a clock that is set moves no worker.
    """

    def __init__(self, dispatcher: str, *, numbered_from: int = 0) -> None:
        """A dispatcher that keeps its name over restarts must number on: workers tell what they have seen."""
        self._dispatcher = dispatcher
        self._workers: dict[str, KnownWorker] = {}
        self._number = numbered_from
        self._changed_at = -math.inf
        self._dirty: set[str] = set()
        self._heard: set[str] = set()
        self._told: dict[str, Standing] = {}
        """What `changed` last gave out, by worker."""
        self._turns = Turns()
        self._clock_offset = 0.0
        self._contradicted: set[str] = set()
        self._barred = frozenset[str]()
        """Adapters that nobody may serve before it was said where they may be."""

    def __contains__(self, worker: str) -> bool:
        return worker in self._workers

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the live workers."""
        return tuple(sorted(self._workers))

    def stale(self, now: float) -> tuple[int, int]:
        """How many views are too old for their load, and how many there are."""
        standings = [known.standing(now) for known in self._workers.values()]
        return standings.count(Standing.STALE), len(standings) - standings.count(Standing.OUT)

    def longest_silence(self, now: float) -> float:
        """Seconds since the worker that was silent longest was last heard, whether it may get work or not."""
        return max((now - known.heard_at for known in self._workers.values()), default=0.0)

    def is_draining(self, worker: str) -> bool:
        """Whether a live worker has said that it is stopping."""
        known = self._workers.get(worker)
        return known is not None and known.load.draining

    def epoch(self, worker: str) -> int:
        """The boot epoch of a live worker."""
        return self._workers[worker].advert.epoch

    # ---- what is heard

    def on_advert(self, advert: WorkerAdvert, now: float) -> tuple[HeldJob, ...]:
        """Take an advert; returns what another life of the worker was given, when that one is over."""
        known = self._workers.get(advert.worker)
        outlived = known is not None and advert.epoch < known.advert.epoch and known.is_quiet(now)
        if outlived:
            self._contradicted.add(advert.worker)
        if known is None or advert.epoch > known.advert.epoch or outlived:
            left = self.on_death(advert.worker, now)
            self._changed_at = now
            self._workers[advert.worker] = known = KnownWorker.met(advert, now)
            known.barred = self._barred
            self._number_on(advert.load)
            self._touch(advert.worker, known, now)
            return left
        went_back = advert.sequence < known.advert.sequence
        if advert.epoch < known.advert.epoch or (went_back and not known.is_quiet(now)):
            return ()  # an older one, delivered late
        if went_back:
            self._contradicted.add(advert.worker)
        known.take_advert(advert, now)
        self._take_load(known, advert.load, now)
        return ()

    def on_load(self, load: WorkerLoad, now: float) -> None:
        """Take a load report; one of another life, or older than the last, is ignored."""
        known = self._workers.get(load.worker)
        if known is not None and load.epoch == known.advert.epoch:
            self._take_load(known, load, now)

    def _take_load(self, known: KnownWorker, load: WorkerLoad, now: float) -> None:
        if known.take_load(load, self._dispatcher, now):
            self._contradicted.add(load.worker)
        self._touch(load.worker, known, now)

    def contradicted(self) -> list[str]:
        """Workers of which something was believed that was not their own, since this was last asked."""
        names, self._contradicted = sorted(self._contradicted), set()
        return names

    def on_death(self, worker: str, now: float) -> tuple[HeldJob, ...]:
        """Forget a worker; returns the jobs it held."""
        known = self._workers.pop(worker, None)
        if known is None:
            return ()
        self._changed_at = now
        self._turns.drop(worker)
        self._dirty.add(worker)
        self._heard.add(worker)
        return tuple({job.key: job for job in known.jobs}.values())  # one given twice died once

    def on_unreachable(self, worker: str) -> None:
        """Nobody answers there: give it nothing until it has beaten again."""
        known = self._workers.get(worker)
        if known is not None:
            known.suspect = True
            self._dirty.add(worker)

    def on_refusals(self, worker: str, reasons: frozenset[RefusalReason], now: float) -> None:
        """A worker that refuses what its own report allows is not asked again at once, or that would be all
        that happens; one that says it is another life, or serves one adapter alone, is asked again when it
        has beaten."""
        known = self._workers.get(worker)
        if known is None:
            return
        if not reasons.isdisjoint({RefusalReason.STALE_EPOCH, RefusalReason.DEDICATED}):
            self.on_unreachable(worker)
        full = RefusalReason.NO_ROOM in reasons and known.load.room > 0
        stopping = RefusalReason.DRAINING in reasons and not known.load.draining
        if full or stopping:
            known.rests_until = max(known.rests_until, now + REST_SECONDS)
            self._touch(worker, known, now)

    def on_lapse(self, worker: str, key: str, now: float) -> None:
        """It accepted a job and let its lease run out: others come first for a while.

        The job is its own no more: should it die later, that is neither counted against the job nor are the
        leases of others touched.
        """
        known = self._workers.get(worker)
        if known is not None:
            known.let_go(key)
            known.rest_after_lapse(now)
            self._touch(worker, known, now)

    def on_lacking(self, worker: str, group: str) -> None:
        """It has no files of that adapter, and will not while it lives or until they come into the store."""
        known = self._workers.get(worker)
        if known is not None:
            known.lacks.add(group)
            self._dirty.add(worker)

    def on_stored(self, group: str) -> None:
        """The adapter's files are in the store: whoever lacked them can fetch them."""
        for worker, known in self._workers.items():
            if group in known.lacks:
                known.lacks.discard(group)
                self._dirty.add(worker)

    def on_ordered(self, worker: str, digests: frozenset[str]) -> None:
        """It was asked to fetch these: its view shows them as on their way."""
        known = self._workers.get(worker)
        if known is not None and known.ordered != digests:
            known.ordered = digests
            self._dirty.add(worker)

    def living(self, now: float) -> tuple[KnownWorker, ...]:
        """Workers that beat, sorted by name, but those that stop or are paused; also those that rest."""
        return tuple(
            known
            for _, known in sorted(self._workers.items())
            if not (known.load.draining or known.load.paused) and now <= known.advert_at + SILENT_SECONDS
        )

    def bar(self, barred: Mapping[str, frozenset[str]], strangers: frozenset[str]) -> None:
        """Adapters that a worker may not serve, by worker; `strangers` is what those not named may not."""
        self._barred = strangers
        for worker, known in self._workers.items():
            digests = barred.get(worker, strangers)
            if known.barred != digests:
                known.barred = digests
                self._dirty.add(worker)

    # ---- what can be served

    def is_settled(self, now: float) -> bool:
        """Whether there are workers, and for a while none has come or gone."""
        return bool(self._workers) and now - self._changed_at >= SETTLED_SECONDS

    def can_serve(
        self,
        group: str,
        base_digest: str | None,
        columns: int = 0,
        *,
        parts: Sequence[str] = (),
        slots: int = 1,
    ) -> bool:
        """Whether some live worker has this base model (None fits all), slots that hold so many columns, and
        does not lack the adapter, or the `parts` of a composition that takes so many `slots`."""
        return any(
            worker.serves(group, base_digest, columns, parts, slots) for worker in self._workers.values()
        )

    def composers(self) -> list[tuple[int, int]]:
        """Slots and columns (0: only their number counts) of the live workers that compose adapters."""
        adverts = [known.advert for known in self._workers.values() if known.advert.composes]
        return [(advert.slot_count, advert.columns_total) for advert in adverts]

    def most_columns(self) -> int | None:
        """That any live worker's slots share; None: of some only their number counts."""
        told = [known.advert.columns_total for known in self._workers.values() if known.advert.slot_count]
        return max(told) if told and all(told) else None

    def refused(self, spec: str) -> str | None:
        """For people: which worker has found that adapter's files and does not serve them, and why."""
        name, version = split_version(spec)
        for worker, known in sorted(self._workers.items()):
            for found in known.advert.refused_adapters:
                if found.name == name and version in (None, found.version):
                    return f"worker {worker} refuses {found.name}@{found.version}: {found.reason}"
        return None

    def all_lack(self, group: str, parts: Sequence[str] = ()) -> bool:
        """Whether there are workers, and every one has said that it lacks the adapter, or a part."""
        needed = {group, *parts}
        return bool(self._workers) and not any(
            worker.lacks.isdisjoint(needed) for worker in self._workers.values()
        )

    # ---- what is handed over

    def give(self, worker: str, jobs: Iterable[HeldJob]) -> int:
        """Lay a hand-over over the view, before it is sent; returns its number."""
        self._number += 1
        self._workers[worker].given[self._number] = {job.key: job for job in jobs}
        self._dirty.add(worker)
        return self._number

    def settle(self, worker: str, number: int, *, refused: frozenset[str] | None) -> None:
        """A hand-over was answered (`refused` by key), or failed (None: nothing of it is there)."""
        known = self._workers.get(worker)
        jobs = known.given.pop(number, None) if known is not None else None
        if known is None or jobs is None:
            return
        self._dirty.add(worker)
        if refused is not None:
            known.held.update({key: job for key, job in jobs.items() if key not in refused})

    def doubt(self, worker: str, number: int) -> None:
        """A hand-over had no answer: its jobs take no room there, and may be there."""
        known = self._workers.get(worker)
        jobs = known.given.pop(number, None) if known is not None else None
        if known is not None and jobs is not None:
            self._dirty.add(worker)
            known.doubt(number, jobs)

    def holds(self, worker: str, key: str, now: float) -> bool:
        """Whether a worker says itself that it holds a job, and may be given work."""
        known = self._workers.get(worker)
        if known is None or key not in known.load.holding:
            return False
        # A paused one goes on with what it has, and so does one that is kept for one job.
        goes_on = known.reserved or (known.load.paused and known.is_heard(now))
        return goes_on or known.standing(now) is not Standing.OUT

    def keys_at(self, worker: str) -> frozenset[str]:
        """The keys of all jobs that it says it holds, or that were handed to it from here since."""
        known = self._workers.get(worker)
        if known is None:
            return frozenset()
        return frozenset(known.load.holding).union(job.key for job in known.jobs)

    def reserve(self, worker: str, *, reserved: bool) -> None:
        """Have planners give it nothing, or again something: it is kept for one job."""
        known = self._workers.get(worker)
        if known is not None:
            known.reserved = reserved
            self._dirty.add(worker)

    def is_heard(self, worker: str, now: float) -> bool:
        """Whether a worker has spoken just now."""
        known = self._workers.get(worker)
        return known is not None and known.is_heard(now)

    def is_held(self, key: str) -> bool:
        """Whether some live worker says that it holds a job."""
        return any(key in known.load.holding for known in self._workers.values())

    def holdings(self, now: float) -> frozenset[str] | None:
        """The keys of all jobs that workers hold; None: not every worker was heard just now."""
        if not all(known.is_heard(now) for known in self._workers.values()):
            return None
        return frozenset(key for known in self._workers.values() for key in known.load.holding)

    def holder(self, tenant: str, job: str) -> str | None:
        """Which worker holds a job, as far as this dispatcher knows."""
        for name, worker in self._workers.items():
            for held in worker.jobs:
                if held.job == job and held.tenant == tenant:
                    return name
        return None

    def handed(self) -> Iterator[tuple[str, HeldJob]]:
        """Everything that was given out from here, or may have been, and is not known to have ended, and to
        whom."""
        for name, known in self._workers.items():
            for held in chain(known.jobs, *(jobs.values() for jobs in known.doubtful.values())):
                yield name, held

    def loads(self) -> Iterator[WorkerLoad]:
        """What every worker says that it holds."""
        return (known.load for known in self._workers.values())

    def tell_again(self, worker: str) -> None:
        """A planner believes something of it that did not happen."""
        self._dirty.add(worker)

    def holders(self) -> list[str]:
        """Workers that hold jobs, whoever gave them."""
        workers = sorted(self._workers.items())
        return [name for name, known in workers if known.load.holding or next(known.jobs, None) is not None]

    def heard(self) -> list[tuple[str, KnownWorker | None]]:
        """Workers that something was heard of since this was last asked, by name; None: it is gone."""
        heard, self._heard = sorted(self._heard), set()
        return [(name, self._workers.get(name)) for name in heard]

    # ---- what a planner sees

    def views(self, now: float, unix: float) -> tuple[WorkerView, ...]:
        """Every worker that may get work, sorted by name; `unix` is the wall clock at `now`."""
        return tuple(
            known.view(now, unix)
            for _, known in sorted(self._workers.items())
            if known.standing(now) is not Standing.OUT
        )

    def changed(self, now: float, unix: float) -> tuple[tuple[WorkerView, ...], tuple[str, ...]]:
        """Views that changed since this was last asked, and workers that may get nothing any more.

        Both are sorted by name. A view's age counts from `unix`, the wall clock at `now`; one that becomes
        stale, or a clock that is set, is a change too, and so is a view told anew after it was gone.
        """
        if abs(unix - now - self._clock_offset) > JUMP_SECONDS:
            self._clock_offset = unix - now
            self._dirty.update(self._workers)
        self._look_again(now)
        dirty, self._dirty = sorted(self._dirty), set()
        views: list[WorkerView] = []
        gone: list[str] = []
        for name in dirty:
            known = self._workers.get(name)
            standing = known.standing(now) if known is not None else Standing.OUT
            if known is not None and standing is not Standing.OUT:
                views.append(known.view(now, unix))
                self._told[name] = standing
            elif self._told.pop(name, None) is not None:
                gone.append(name)
        return tuple(views), tuple(gone)

    def _touch(self, name: str, known: KnownWorker, now: float) -> None:
        """Something was heard: its view has changed, and when to look again."""
        self._dirty.add(name)
        self._heard.add(name)
        self._turns.add(name, known.next_turn(now))

    def _look_again(self, now: float) -> None:
        """Mark the workers whose standing has changed by time alone."""
        while (name := self._turns.due(now)) is not None:
            known = self._workers[name]
            if known.standing(now) is not self._told.get(name, Standing.OUT):
                self._dirty.add(name)
            self._turns.add(name, known.next_turn(now))

    def _number_on(self, load: WorkerLoad) -> None:
        """Past what it has seen of an earlier life of this dispatcher, whose clock may have been ahead."""
        seen = load.seen.get(self._dispatcher, 0)
        if seen < MAX_NUMBER:
            self._number = max(self._number, seen)
