"""Runs a suspect alone: the next death is its own then, and what shared a batch with a killer is cleared.

A worker is kept free of other work until it has nothing left, gets the one job, and goes back to the planner
once that has ended. It is the least busy of those that serve the job, and few are kept so at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.logs import Event

SHARE = 4
"""One worker in so many may be kept for suspects, and one in any case."""

DRAIN_SECONDS = 30.0
"""Rows of others are waited for so long; then the suspect goes to them, in their small company."""

RUN_SECONDS = 120.0
"""A run that takes longer is joined by others: a suspect must not keep a worker from everybody for hours."""


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A worker that is kept for one job."""

    key: str
    epoch: int
    since: float
    """Monotonic seconds: kept, or given the job."""
    given: bool = False


class Isolation:
    """The suspects of one dispatcher; they wait among the unresolved, so that all that happens to a job that
    waits (a cancel, a deadline, another dispatcher) happens to them too."""

    def __init__(
        self,
        fleet: Fleet,
        unresolved: Unresolved,
        *,
        aim: Callable[[TakenJob], ParkedJob | None],
        serves: Callable[[ParkedJob], list[str]],
        give: Callable[[TakenJob, str | None], None],
    ) -> None:
        """`aim` says what a job would run with; None: nobody knows now. `serves`: the workers that could run
        it, the least busy first. `give` hands a job to a worker; None: it is parked as any other."""
        self._fleet = fleet
        self._unresolved = unresolved
        self._aim = aim
        self._serves = serves
        self._give = give
        self._waiting: dict[str, None] = {}
        self._kept: dict[str, _Kept] = {}
        self._log = structlog.get_logger()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._kept)

    def wait(self, job: TakenJob) -> None:
        """A suspect, which lies among the unresolved now."""
        self._waiting[job.key] = None

    def has(self, key: str) -> bool:
        """Whether a job waits here for a worker of its own."""
        return key in self._waiting

    def look(self, now: float) -> None:
        """Go on with what is under way, and begin what can be; `now` is monotonic seconds."""
        for worker, kept in list(self._kept.items()):
            self._go_on(worker, kept, now)
        taken = {kept.key for kept in self._kept.values() if not kept.given}
        for key in [key for key in self._waiting if key not in taken]:
            if len(self._kept) >= max(1, len(self._fleet.workers) // SHARE):
                return
            self._begin(key, now)

    def _begin(self, key: str, now: float) -> None:
        job = self._unresolved.get(key)
        if job is None:
            del self._waiting[key]  # cancelled, expired or another dispatcher's
            return
        parked = self._aim(job)
        able = self._serves(parked) if parked is not None else []
        if not able:
            self._hand(key, None)  # as any other: whatever keeps it, or ends it, does so there
            return
        worker = able[0]
        self._kept[worker] = _Kept(key=key, epoch=self._fleet.epoch(worker), since=now)
        self._fleet.reserve(worker, reserved=True)
        self._log.warning(
            Event.JOB_ISOLATED, job=job.job, tenant=job.address.tenant, worker=worker, **job.traced
        )
        self._go_on(worker, self._kept[worker], now)

    def _go_on(self, worker: str, kept: _Kept, now: float) -> None:
        if worker not in self._fleet or self._fleet.epoch(worker) != kept.epoch:
            del self._kept[worker]  # its next life is nobody's
            return
        left = self._fleet.keys_at(worker)
        if kept.given:
            if kept.key not in left or now - kept.since > RUN_SECONDS:
                self._free(worker)
        elif kept.key not in self._waiting or self._unresolved.get(kept.key) is None:
            self._waiting.pop(kept.key, None)
            self._free(worker)
        elif not left or now - kept.since > DRAIN_SECONDS:
            kept.given, kept.since = True, now
            self._hand(kept.key, worker)
            if kept.key not in self._fleet.keys_at(worker):
                self._free(worker)  # it needs something else first

    def _hand(self, key: str, worker: str | None) -> None:
        del self._waiting[key]
        for job in self._unresolved.take_keys([key]):
            self._give(job, worker)

    def _free(self, worker: str) -> None:
        del self._kept[worker]
        self._fleet.reserve(worker, reserved=False)
