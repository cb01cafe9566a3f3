"""Late binding: workers with a free row pull.

`Pull` is a plain work queue (JetStream's pull consumers, Celery, SQS): the oldest job. `PullAffinity` is the
ten-line rule that any better one has to be measured against: the oldest job of an adapter that the worker
holds, else the oldest job. Neither bounds anybody's wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass
from random import Random

from lorayard_cli.simulation.router import Desk, HandOver, Orders, Setup, Sight
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob


@dataclass(slots=True)
class _Puller:
    """A desk, and what this tick has given it."""

    worker: str
    free: int
    warm: Set[str]
    taken: set[str]
    missing: bool

    def holds(self, group: str) -> bool:
        return group == BASE_GROUP or group in self.warm or group in self.taken

    def take(self, job: WaitingJob) -> None:
        self.free -= 1
        if not self.holds(job.group):
            self.missing = True
        self.taken.add(job.group)


class _Queue:
    """Waiting jobs by adapter and in all, the oldest first."""

    def __init__(self) -> None:
        self._by_group: dict[str, deque[tuple[int, WaitingJob]]] = {}
        self._order: deque[tuple[int, str]] = deque()
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._by_group)

    def put(self, job: WaitingJob) -> None:
        self._by_group.setdefault(job.group, deque()).append((self._number, job))
        self._order.append((self._number, job.group))
        self._number += 1

    def oldest(self) -> str:
        """The adapter of the oldest job; there must be one."""
        while True:
            number, group = self._order[0]
            jobs = self._by_group.get(group)
            if jobs and jobs[0][0] == number:
                return group
            self._order.popleft()  # taken earlier, out of turn

    def oldest_of(self, groups: Set[str]) -> str | None:
        """Of these adapters the one with the oldest job."""
        heads = [(jobs[0][0], group) for group in groups if (jobs := self._by_group.get(group))]
        return min(heads)[1] if heads else None

    def take(self, group: str) -> WaitingJob:
        jobs = self._by_group[group]
        _, job = jobs.popleft()
        if not jobs:
            del self._by_group[group]
        return job


class Pull:
    """The worker with the most free rows pulls first, ties at random; it takes the oldest job."""

    def __init__(self, setup: Setup) -> None:
        self._random = Random(setup.seed)
        self._queue = _Queue()

    def arrive(self, job: WaitingJob, now: float) -> None:
        """At the queue's end."""
        del now
        self._queue.put(job)

    def done(self, job: WaitingJob, worker: str, tokens: float, now: float) -> None:
        """The worker itself knows."""

    def see(self, sights: Sequence[Sight], now: float) -> None:
        """A worker that pulls knows itself: no report is needed."""

    def tick(self, now: float, desks: Sequence[Desk]) -> Orders:
        """Until no job waits, or nobody pulls."""
        del now
        pullers = [
            _Puller(desk.worker, desk.free_rows, desk.warm, set(), desk.is_missing)
            for desk in desks
            if desk.free_rows > 0
        ]
        given: list[HandOver] = []
        while self._queue and (puller := self._next(pullers)):
            job = self._queue.take(self.pick(puller) or self._queue.oldest())
            puller.take(job)
            given.append(HandOver(job=job.key, worker=puller.worker))
        return Orders(hand_overs=given)

    def _next(self, pullers: Sequence[_Puller]) -> _Puller | None:
        able = [puller for puller in pullers if puller.free > 0 and self.pulls(puller)]
        most = max((puller.free for puller in able), default=0)
        return self._random.choice([puller for puller in able if puller.free == most]) if able else None

    def pulls(self, puller: _Puller) -> bool:
        """Whether it takes one more now."""
        del puller
        return True

    def pick(self, puller: _Puller) -> str | None:
        """The adapter that it prefers; None: whichever has the oldest job."""
        del puller
        return None


class PullAffinity(Pull):
    """Warm jobs first; one missing adapter per worker at a time."""

    def pulls(self, puller: _Puller) -> bool:
        """While an adapter is on its way, only warm jobs: a second miss would queue behind the first."""
        return not puller.missing or self.pick(puller) is not None

    def pick(self, puller: _Puller) -> str | None:
        """The oldest of what it holds."""
        return self._queue.oldest_of({*puller.warm, *puller.taken, BASE_GROUP})
