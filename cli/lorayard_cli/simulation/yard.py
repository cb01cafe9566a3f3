"""A modelled yard in motion: events in order of time, from the first arrival to the last answer."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from dataclasses import replace

from lorayard_cli.simulation.errors import BadOrderError, BooksDifferError
from lorayard_cli.simulation.meters import Meters
from lorayard_cli.simulation.report import report
from lorayard_cli.simulation.router import Listener, Orders, Router, Sight
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.worker import ModelWorker

TICK_GAP_SECONDS = 0.005
"""Events closer together than this are one tick: a plan for each of them would cost more than it gains."""

TIMER_SECONDS = 0.02
"""Between ticks while jobs wait and nothing happens."""

_NEVER = math.inf


class Yard:
    """The workers of one trial, the jobs on their way, and one router."""

    def __init__(self, trial: Trial, router: Router) -> None:
        self.trial = trial
        self.router = router
        self._listener = router if isinstance(router, Listener) else None
        self.now = 0.0
        self.jobs = trial.make_jobs()
        self.waiting: dict[str, SimulatedJob] = {}  # with the router
        self.ended: list[SimulatedJob] = []
        self.workers = [ModelWorker(name, trial.cluster) for name in trial.cluster.names]
        self.meters = Meters(arrivals_end=self.jobs[-1].waiting.enqueued_at if self.jobs else 0.0)
        self._by_name = {worker.worker: worker for worker in self.workers}
        self._next_job = 0
        self._due: list[tuple[float, str, int]] = []  # heap of (when, worker, its changes by then)
        self._sights: dict[str, tuple[int, Sight]] = {}
        self._reports: deque[tuple[float, tuple[Sight, ...]]] = deque()  # (when delivered, sights)
        self._report_at = 0.0
        self._queued = 0  # at workers, when they last reported
        self._tick_at = _NEVER
        self._ticked_at = -_NEVER
        self._is_eventful = False

    @property
    def is_overrun(self) -> bool:
        """Whether more waits than the trial allows."""
        most = self.trial.most_waiting
        return most is not None and len(self.waiting) + self._queued > most

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do, or to be measured."""
        if self.is_overrun:
            return True
        if self._next_job < len(self.jobs):
            return False
        return not self.trial.runs_empty or len(self.ended) == len(self.jobs)

    def run(self, limit_seconds: float, *, audited: bool = False) -> None:
        """Until it is over, or the limit is reached; audited: with a check of the books after every event."""
        while not self.is_over:
            now = self._next_at()
            if now > limit_seconds:
                break
            self.now = now
            self._advance_workers()
            self._take_arrivals()
            self._write_reports()
            self._deliver_reports()
            if now >= self._tick_at:
                self._tick()
            if audited:
                self.check()

    def check(self) -> None:
        """Fail unless every job is in exactly one place and every worker's books agree."""
        for worker in self.workers:
            worker.check()
        there = [job.key for worker in self.workers for job in worker.jobs]
        known = [*there, *self.waiting, *(job.key for job in self.ended)]
        if sorted(known) != [job.key for job in self.jobs[: self._next_job]]:
            raise BooksDifferError(
                f"{self._next_job} jobs came in, {len(known)} are known, of which {len(set(known))} differ"
            )

    def _next_at(self) -> float:
        while self._due and self._by_name[self._due[0][1]].changes != self._due[0][2]:
            heapq.heappop(self._due)
        arrives_at = (
            self.jobs[self._next_job].waiting.enqueued_at if self._next_job < len(self.jobs) else _NEVER
        )
        return min(
            arrives_at,
            self._due[0][0] if self._due else _NEVER,
            self._report_at,
            self._reports[0][0] if self._reports else _NEVER,
            self._tick_at,
        )

    def _advance_workers(self) -> None:
        while self._due and self._due[0][0] <= self.now:
            _, name, changes = heapq.heappop(self._due)
            worker = self._by_name[name]
            if worker.changes == changes:
                self._advance(worker)

    def _advance(self, worker: ModelWorker) -> None:
        for job in worker.advance(self.now):
            self.ended.append(job)
            self.router.done(job.waiting, worker.worker, job.tokens, self.now)
            self._wake()
        if not self._is_frozen:
            self._tell(worker)
        due = worker.next_at()
        if due < _NEVER:
            heapq.heappush(self._due, (due, worker.worker, worker.changes))

    def _tell(self, worker: ModelWorker) -> None:
        """How much it has to do now: after each change, and in its answers."""
        if self._listener is not None:
            self._listener.hear(worker.worker, frozenset(job.key for job in worker.jobs), self.now)

    @property
    def _is_frozen(self) -> bool:
        """Whether no word of a worker reaches anybody, but for answers."""
        start, end = self.trial.frozen_seconds or (_NEVER, _NEVER)
        return start <= self.now < end

    def _take_arrivals(self) -> None:
        while self._next_job < len(self.jobs):
            job = self.jobs[self._next_job]
            if job.waiting.enqueued_at > self.now:
                return
            self._next_job += 1
            self.waiting[job.key] = job
            self.router.arrive(job.waiting, self.now)
            self._wake()

    def _write_reports(self) -> None:
        if self._report_at > self.now:
            return
        self._report_at += self.trial.report_seconds
        sights = tuple(self._sight(worker) for worker in self.workers)
        # The first report is there before the first job: a yard is known before it is used.
        age = self.trial.view_age_seconds if self.now > 0.0 else 0.0
        self._reports.append((self.now + age, sights))
        self._queued = sum(sight.queued for sight in sights)
        self.meters.sample(self.now, sights, len(self.waiting) + self._queued)

    def _sight(self, worker: ModelWorker) -> Sight:
        changes, sight = self._sights.get(worker.worker, (-1, None))
        if sight is None or changes != worker.changes:
            sight = report(worker, self.now, self.trial.view_age_seconds)
            self._sights[worker.worker] = (worker.changes, sight)
        return replace(sight, at=self.now)

    def _deliver_reports(self) -> None:
        while self._reports and self._reports[0][0] <= self.now:
            _, sights = self._reports.popleft()
            if not self._is_frozen:
                self.router.see(sights, self.now)
                self._wake()

    def _wake(self) -> None:
        self._is_eventful = True
        if self.waiting:
            self._tick_at = min(self._tick_at, max(self.now, self._ticked_at + TICK_GAP_SECONDS))

    def _tick(self) -> None:
        started = time.perf_counter()
        orders = self.router.tick(self.now, self.workers)
        if self._is_eventful:
            self.meters.plan_seconds.append(time.perf_counter() - started)
        self._is_eventful = False
        self._ticked_at = self.now
        self._carry_out(orders)
        self._tick_at = self.now + TIMER_SECONDS if self.waiting else _NEVER

    def _carry_out(self, orders: Orders) -> None:
        touched: dict[str, ModelWorker] = {}
        for prefetch in orders.prefetches:
            touched[prefetch.worker] = self._worker(prefetch.worker)
            touched[prefetch.worker].prefetch(prefetch.adapter)
        for hand_over in orders.hand_overs:
            job = self.waiting.pop(hand_over.job, None)
            if job is None:
                raise BadOrderError(type(self.router).__name__, f"gave {hand_over.job}, which does not wait")
            worker = touched[hand_over.worker] = self._worker(hand_over.worker)
            if self._listener is None or worker.has_room:
                worker.give(job, self.now)
            else:
                self.waiting[job.key] = job
                self._listener.refused(job.waiting, worker.worker)
        for worker in touched.values():
            self._advance(worker)
            self._tell(worker)

    def _worker(self, name: str) -> ModelWorker:
        worker = self._by_name.get(name)
        if worker is None:
            raise BadOrderError(type(self.router).__name__, f"ordered {name}, which is no worker")
        return worker
