"""What the dispatcher believes about the workers: their adverts, with its own hand-overs laid over them.

Residency is believed from adverts; load only from reports that say which assignments they have seen, so a
plan made on an old view never gives the same room away twice (docs/architecture.md, The dispatcher).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lorayard_dispatcher.planning.values import Resident, WorkerView
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.names import split_version
from lorayard_shared.bus.topology import WORKER_TTL_SECONDS

SETTLED_SECONDS = 30.0
"""A crashed worker is back long before: until then a base model that nobody has may still come."""

SILENT_SECONDS = 15.0
"""Residency older than this is not believed, and the worker gets nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJob:
    """A job that was given to a worker."""

    key: str
    lease: str
    group: str
    tenant: str
    job: str


@dataclass(slots=True)
class _Worker:
    advert: WorkerAdvert
    load: WorkerLoad
    heard_at: float
    given: dict[int, dict[str, HeldJob]] = field(default_factory=dict[int, dict[str, HeldJob]])
    held: dict[str, HeldJob] = field(default_factory=dict[str, HeldJob])
    lacks: set[str] = field(default_factory=set[str])
    suspect: bool = False


class Fleet:
    """The live workers. Times are monotonic seconds."""

    def __init__(self, dispatcher: str, *, numbered_from: int = 0) -> None:
        """A dispatcher that keeps its name over restarts must number on: workers tell what they have seen."""
        self._dispatcher = dispatcher
        self._workers: dict[str, _Worker] = {}
        self._number = numbered_from
        self._changed_at = -math.inf

    def __contains__(self, worker: str) -> bool:
        return worker in self._workers

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the live workers."""
        return tuple(sorted(self._workers))

    def is_draining(self, worker: str) -> bool:
        """Whether a live worker has said that it is stopping."""
        known = self._workers.get(worker)
        return known is not None and known.load.draining

    def epoch(self, worker: str) -> int:
        """The boot epoch of a live worker."""
        return self._workers[worker].advert.epoch

    def on_advert(self, advert: WorkerAdvert, now: float) -> tuple[HeldJob, ...]:
        """Take an advert; returns what another life of the worker was given, when that one is over."""
        known = self._workers.get(advert.worker)
        if known is None or advert.epoch > known.advert.epoch or _outlived(known, advert, now):
            left = self.on_death(advert.worker, now)
            self._changed_at = now
            self._workers[advert.worker] = _Worker(advert, advert.load, now)
            return left
        if advert.epoch < known.advert.epoch or advert.sequence < known.advert.sequence:
            return ()  # an older one, delivered late
        known.advert = advert
        known.heard_at = now
        known.suspect = False
        self._take_load(known, advert.load)
        return ()

    def on_load(self, load: WorkerLoad) -> None:
        """Take a load report; one of another life, or older than the last, is ignored."""
        known = self._workers.get(load.worker)
        if known is not None and load.epoch == known.advert.epoch:
            self._take_load(known, load)

    def on_death(self, worker: str, now: float) -> tuple[HeldJob, ...]:
        """Forget a worker; returns the jobs it held."""
        known = self._workers.pop(worker, None)
        if known is None:
            return ()
        self._changed_at = now
        return tuple(_all_jobs(known))

    def on_unreachable(self, worker: str) -> None:
        """Nobody answers there: give it nothing until it has beaten again."""
        known = self._workers.get(worker)
        if known is not None:
            known.suspect = True

    def on_lacking(self, worker: str, group: str) -> None:
        """It has no files of that adapter, and will not while it lives."""
        known = self._workers.get(worker)
        if known is not None:
            known.lacks.add(group)

    def is_settled(self, now: float) -> bool:
        """Whether there are workers, and for a while none has come or gone."""
        return bool(self._workers) and now - self._changed_at >= SETTLED_SECONDS

    def can_serve(self, group: str, base_digest: str | None) -> bool:
        """Whether some live worker has this base model (None fits all) and does not lack the adapter."""
        return any(
            base_digest in (None, worker.advert.base_digest)
            and group not in worker.lacks
            and worker.advert.dedicated in (None, group)
            for worker in self._workers.values()
        )

    def refused(self, spec: str) -> str | None:
        """For people: which worker has found that adapter's files and does not serve them, and why."""
        name, version = split_version(spec)
        for worker, known in sorted(self._workers.items()):
            for found in known.advert.refused_adapters:
                if found.name == name and version in (None, found.version):
                    return f"worker {worker} refuses {found.name}@{found.version}: {found.reason}"
        return None

    def all_lack(self, group: str) -> bool:
        """Whether there are workers, and every one has said that it lacks the adapter."""
        return bool(self._workers) and all(group in worker.lacks for worker in self._workers.values())

    def give(self, worker: str, jobs: Iterable[HeldJob]) -> int:
        """Lay a hand-over over the view, before it is sent; returns its number."""
        self._number += 1
        self._workers[worker].given[self._number] = {job.key: job for job in jobs}
        return self._number

    def settle(self, worker: str, number: int, *, refused: frozenset[str] | None) -> None:
        """A hand-over was answered (`refused` by key), or failed (None: nothing of it is there)."""
        known = self._workers.get(worker)
        jobs = known.given.pop(number, None) if known is not None else None
        if known is None or jobs is None or refused is None:
            return
        known.held.update({key: job for key, job in jobs.items() if key not in refused})

    def holder(self, tenant: str, job: str) -> str | None:
        """Which worker holds a job, as far as this dispatcher knows."""
        for name, worker in self._workers.items():
            for held in _all_jobs(worker):
                if held.job == job and held.tenant == tenant:
                    return name
        return None

    def views(self, now: float) -> tuple[WorkerView, ...]:
        """What the planner sees, sorted by name."""
        return tuple(
            _view(worker, now)
            for _, worker in sorted(self._workers.items())
            if not worker.suspect and not worker.load.draining and now - worker.heard_at <= SILENT_SECONDS
        )

    def _take_load(self, known: _Worker, load: WorkerLoad) -> None:
        if load.number < known.load.number:
            return
        known.load = load
        seen = load.seen.get(self._dispatcher, 0)
        for number in [n for n in known.given if n <= seen]:
            # Its answer is on the way; what was refused is not in `holding` and falls out below.
            known.held.update(known.given[number])
            known.given[number] = {}
        holding = set(load.holding)
        for key in [key for key in known.held if key not in holding]:
            del known.held[key]


def _outlived(known: _Worker, advert: WorkerAdvert, now: float) -> bool:
    """Whether an older life of the name beats and the newer one no more: two were started under one name."""
    return advert.epoch < known.advert.epoch and now - known.heard_at > WORKER_TTL_SECONDS


def _all_jobs(worker: _Worker) -> Iterable[HeldJob]:
    yield from worker.held.values()
    for jobs in worker.given.values():
        yield from jobs.values()


def _view(worker: _Worker, now: float) -> WorkerView:
    advert = worker.advert
    unseen = [job for jobs in worker.given.values() for job in jobs.values()]
    return WorkerView(
        worker=advert.worker,
        room=max(0, worker.load.room - len(unseen)),
        rows=advert.rows_max,
        in_flight=len(worker.held) + len(unseen),
        slots=advert.slot_count,
        resident=_resident(worker),
        host=frozenset(advert.host),
        fetching=frozenset(advert.loading),
        load_seconds_host=advert.load_ms_host / 1000 or None,
        load_seconds_disk=advert.load_ms_disk / 1000 or None,
        age_seconds=max(0.0, now - worker.heard_at),
        base_digest=advert.base_digest,
        dedicated=advert.dedicated,
        lacks=frozenset(worker.lacks),
    )


def _resident(worker: _Worker) -> dict[str, Resident]:
    """As advertised, with the adapters of its jobs, and those of our own that it has not seen yet."""
    advert = worker.advert
    jobs = Counter(job.group for job in _all_jobs(worker) if job.group)
    found = {
        slot.digest: Resident(
            jobs=max(slot.rows, jobs[slot.digest]), last_used=slot.last_used, pinned=slot.pinned
        )
        for slot in advert.slots
    }
    for digest in {advert.dedicated} - {None} | jobs.keys():
        if digest is not None and digest not in found:
            found[digest] = Resident(jobs=jobs[digest])
    return found
