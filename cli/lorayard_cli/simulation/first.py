"""The first planner as a router: a worker with room takes the oldest job of an adapter it holds."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from operator import attrgetter

from lorayard_cli.simulation.overlay import Overlay
from lorayard_cli.simulation.router import Desk, HandOver, Orders, Setup, Sight
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.pull_affinity import plan
from lorayard_dispatcher.planning.values import Queue, WaitingJob

_order = attrgetter("order")


class FirstPlanner:
    """`lorayard_dispatcher.planning.pull_affinity`, with its own hand-overs laid over the reports."""

    def __init__(self, setup: Setup) -> None:
        self._policy = Policy()
        self._overlay = Overlay(setup.cluster, self._policy.stale_seconds)
        self._names = setup.cluster.names
        self._queues: dict[Queue, list[WaitingJob]] = {}
        self._jobs: dict[str, WaitingJob] = {}

    def arrive(self, job: WaitingJob, now: float) -> None:
        """Queue it."""
        del now
        self._jobs[job.key] = job
        insort(self._queues.setdefault((job.group, job.priority), []), job, key=_order)

    def done(self, job: WaitingJob, worker: str, tokens: float, now: float) -> None:
        """Its row is free."""
        del tokens, now
        self._overlay.done(worker, job)

    def see(self, sights: Sequence[Sight], now: float) -> None:
        """Take the reports."""
        del now
        for sight in sights:
            self._overlay.see(sight)

    def tick(self, now: float, desks: Sequence[Desk]) -> Orders:
        """One plan."""
        del desks
        views = [self._overlay.view(name, now) for name in self._names]
        made = plan(now, self._queues, views, {}, {}, self._policy)
        for decision in made.decisions:
            self._overlay.give(decision.worker, self._take(decision.job))
        return Orders(
            hand_overs=[HandOver(job=given.job, worker=given.worker) for given in made.decisions],
            prefetches=made.prefetches,
        )

    def _take(self, key: str) -> WaitingJob:
        job = self._jobs.pop(key)
        queue = self._queues[job.group, job.priority]
        del queue[bisect_left(queue, job.order, key=_order)]
        if not queue:
            del self._queues[job.group, job.priority]
        return job
