"""The jobs that wait: grouped by adapter and lane, the oldest first in each (A3)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

from lorayard_dispatcher.compositions import Compositions
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.values import Queue, Waiting, WaitingJob

_order = attrgetter("order")


class Pool:
    """Parked jobs by key, and the same jobs in queues for the planner."""

    def __init__(self, planner: Planner, compositions: Compositions | None = None) -> None:
        """The planner is told of every job that comes and goes, and what its composition is before."""
        self._planner = planner
        self._compositions = compositions
        self._jobs: dict[str, ParkedJob] = {}
        self._queues: dict[Queue, list[WaitingJob]] = {}
        self._counts: Counter[int] = Counter()
        """Jobs by lane: asked before every fetch, while there may be thousands of queues."""
        self._by_id: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[ParkedJob]:
        return iter(self._jobs.values())

    @property
    def waiting(self) -> Waiting:
        """What the planner reads; valid until the pool changes."""
        return self._queues

    @property
    def queues(self) -> Mapping[Queue, Sequence[WaitingJob]]:
        """The queues, for counting."""
        return self._queues

    def count(self, priority: int) -> int:
        """Jobs of one lane."""
        return self._counts[priority]

    def get(self, key: str) -> ParkedJob | None:
        """The job, if it is parked here."""
        return self._jobs.get(key)

    def find(self, tenant: str, job: str) -> ParkedJob | None:
        """The job by the name its client knows."""
        key = self._by_id.get((tenant, job))
        return self._jobs.get(key) if key is not None else None

    def put(self, parked: ParkedJob, *, arrived: float | None = None) -> ParkedJob | None:
        """Park a job; returns the older delivery of the same job that it replaces, if any.

        `arrived` (unix seconds) is given for one that was not here before: it counts as demand.
        """
        old = self.take(parked.key)
        self._jobs[parked.key] = parked
        self._by_id[parked.taken.address.tenant, parked.taken.job] = parked.key
        _file(self._queues.setdefault(_queue(parked), []), parked.waiting)
        self._counts[parked.waiting.priority] += 1
        if self._compositions is not None and parked.composition is not None:
            self._compositions.hold(parked.composition)
        self._planner.put(parked.waiting, arrived)
        return old

    def relabel(self, parked: ParkedJob) -> None:
        """Keep another word on a job whose place stays: nothing that the planner looks at may differ."""
        assert self._jobs[parked.key].waiting == parked.waiting, "its place would change"
        self._jobs[parked.key] = parked

    def take(self, key: str) -> ParkedJob | None:
        """Remove a job and return it."""
        parked = self._jobs.pop(key, None)
        if parked is None:
            return None
        self._planner.take(key)
        if self._compositions is not None and parked.composition is not None:
            self._compositions.release(parked.composition)
        name = (parked.taken.address.tenant, parked.taken.job)
        if self._by_id.get(name) == key:
            del self._by_id[name]
        queue = self._queues[_queue(parked)]
        # Mostly it is the oldest, as it was the newest when it came.
        first = queue[0] is parked.waiting
        del queue[0 if first else bisect_left(queue, parked.waiting.order, key=_order)]
        self._counts[parked.waiting.priority] -= 1
        if not queue:
            del self._queues[_queue(parked)]
        return parked

    def expired(self, now: float) -> list[ParkedJob]:
        """The jobs whose deadline is past (unix seconds)."""
        return [p for p in self._jobs.values() if p.taken.deadline is not None and p.taken.deadline <= now]

    def check(self) -> None:
        """Fail if queues and jobs disagree."""
        queued = [job.key for queue in self._queues.values() for job in queue]
        assert sorted(queued) == sorted(self._jobs), "queues and jobs differ"
        lanes = {lane: count for lane, count in self._counts.items() if count}
        assert lanes == Counter(job.waiting.priority for job in self._jobs.values()), "lanes and jobs differ"
        for name, queue in self._queues.items():
            assert queue, f"queue {name} is empty"
            assert queue == sorted(queue, key=_order), f"queue {name} is out of order"


def _file(queue: list[WaitingJob], job: WaitingJob) -> None:
    if not queue or queue[-1].order < job.order:
        queue.append(job)
    else:
        insort(queue, job, key=_order)


def _queue(parked: ParkedJob) -> Queue:
    return (parked.waiting.group, parked.waiting.priority)
