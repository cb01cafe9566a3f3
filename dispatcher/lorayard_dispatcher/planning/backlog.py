"""What waits: by group, lane and tenant, with the oldest and the largest groups at hand.

Putting, taking and finding the oldest cost the logarithm of the groups, whatever waits in them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.shares import Shares
from lorayard_dispatcher.planning.standing import Standing
from lorayard_dispatcher.planning.values import WaitingJob

LONG = 64
"""Jobs of one tenant in a lane from which they are kept where taking the first does not move the rest. Most
are fewer, in about as many lists as there are jobs: what memory a list takes is what a look at it costs.
"""


SLACK = 64
"""Entries of a heap that may be out of date before they are looked through."""


class Lane:
    """The jobs of one group and priority, the oldest of each tenant first."""

    __slots__ = ("_alive", "_counts", "_heads", "oldest", "size", "tenants")

    def __init__(self, alive: dict[str, WaitingJob]) -> None:
        self._alive = alive
        self._heads: list[tuple[float, str, str]] = []
        """A heap of tenants' oldest jobs; what is not any more is dropped when it comes up."""
        self._counts: dict[str, int] = {}
        self.tenants: dict[str, list[WaitingJob] | deque[WaitingJob]] = {}
        """The first is alive; behind it some may not be."""
        self.size = 0
        self.oldest: WaitingJob | None = None

    def head(self, shares: Shares) -> WaitingJob | None:
        """The oldest job of a tenant within its share."""
        oldest = self.oldest
        if oldest is None:
            return None
        limit, served = shares.limit, shares.served
        if served[oldest.tenant] <= limit:
            return oldest
        best, since = None, 0.0
        for tenant, jobs in self.tenants.items():
            if served[tenant] <= limit:
                first = jobs[0]
                at = first.enqueued_at
                if best is None or at < since or (at == since and first.key < best.key):
                    best, since = first, at
        return best

    def put(self, job: WaitingJob) -> None:
        """Add a job; almost always the newest of its tenant."""
        self.size += 1
        self._counts[job.tenant] = self._counts.get(job.tenant, 0) + 1
        jobs = self.tenants.get(job.tenant)
        if jobs is None:
            jobs = self.tenants[job.tenant] = [job]
        elif jobs[-1].enqueued_at < job.enqueued_at or jobs[-1].order <= job.order:
            jobs.append(job)
            if len(jobs) == LONG:
                self.tenants[job.tenant] = deque(jobs)
            return
        else:  # it was handed back, so it is among the oldest
            at = next(i for i, other in enumerate(jobs) if job.order < other.order)
            jobs.insert(at, job)
        if jobs[0] is job:
            self._push(job)

    def removed(self, job: WaitingJob) -> None:
        """One of its jobs is alive no more."""
        self.size -= 1
        tenant = job.tenant
        left = self._counts[tenant] - 1
        if left == 0:
            del self._counts[tenant], self.tenants[tenant]
            self.oldest = self._first()
            return
        self._counts[tenant] = left
        jobs = self.tenants[tenant]
        if jobs[0] is not job:
            return
        alive = self._alive
        while alive.get(jobs[0].key) is not jobs[0]:
            del jobs[0]
        if job is self.oldest:  # mostly: what is at the top of the heap makes way
            head = jobs[0]
            heapq.heapreplace(self._heads, (head.enqueued_at, head.key, tenant))
            self.oldest = self._first()
            return
        self._push(jobs[0])

    def _push(self, head: WaitingJob) -> None:
        """It is its tenant's oldest now. Behind one that stays, the heap would keep all that overtake it."""
        heapq.heappush(self._heads, (head.enqueued_at, head.key, head.tenant))
        if len(self._heads) > SLACK + 4 * len(self.tenants):
            firsts = [jobs[0] for jobs in self.tenants.values()]
            self._heads = [(first.enqueued_at, first.key, first.tenant) for first in firsts]
            heapq.heapify(self._heads)
        self.oldest = self._first()

    def _first(self) -> WaitingJob | None:
        heads = self._heads
        while heads:
            enqueued_at, key, tenant = heads[0]
            jobs = self.tenants.get(tenant)
            if jobs is not None and jobs[0].key == key and jobs[0].enqueued_at == enqueued_at:
                return jobs[0]
            heapq.heappop(heads)
        return None

    def older_than(self, job: WaitingJob) -> int:
        """How many of its jobs come before one of them."""
        return sum(
            other.order < job.order and self._alive.get(other.key) is other
            for jobs in self.tenants.values()
            for other in jobs
        )

    def eligible(self, shares: Shares, most: int) -> int:
        """How many jobs of tenants within their share there are, counted up to `most`."""
        count = 0
        limit, served = shares.limit, shares.served
        for tenant, jobs in self._counts.items():
            if served[tenant] <= limit:
                count += jobs
                if count >= most:
                    return most
        return count


class Backlog:
    """All jobs that wait."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._jobs: dict[str, WaitingJob] = {}
        self.groups: dict[str, dict[int, Lane]] = {}
        self._standing: dict[int, Standing] = {}
        """By priority: its groups by age and by size."""
        self._waiting: dict[int, int] = {}
        """Jobs by priority."""
        self._deadlines: list[tuple[float, str]] = []
        self.waiting_of: dict[str, dict[str, int]] = {}
        """Jobs by tenant and group."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, key: object) -> bool:
        return key in self._jobs

    def get(self, key: str) -> WaitingJob | None:
        """The job, if it waits."""
        return self._jobs.get(key)

    def pending(self, group: str) -> int:
        """How many jobs of a group wait."""
        lanes = self.groups.get(group)
        if lanes is None:
            return 0
        count = 0
        for lane in lanes.values():
            count += lane.size
        return count

    def priorities(self) -> list[int]:
        """The lanes that anything waits in, urgent first."""
        return sorted(priority for priority, waiting in self._waiting.items() if waiting)

    def put(self, job: WaitingJob) -> WaitingJob | None:
        """Add a job; returns the one of the same key that it replaces, if any."""
        replaced = self.take(job.key) if job.key in self._jobs else None
        self._jobs[job.key] = job
        lanes = self.groups.get(job.group)
        if lanes is None:
            lanes = self.groups[job.group] = {}
        lane = lanes.get(job.priority)
        if lane is None:
            lane = lanes[job.priority] = Lane(self._jobs)
        before, size = lane.oldest, lane.size
        lane.put(job)
        self._note(job, lane, before, size)
        groups = self.waiting_of.get(job.tenant)
        if groups is None:
            groups = self.waiting_of[job.tenant] = {}
        groups[job.group] = groups.get(job.group, 0) + 1
        if job.deadline is not None:
            heapq.heappush(self._deadlines, (self._policy.bound(job), job.key))
            if len(self._deadlines) > SLACK + 4 * len(self._jobs):
                self._forget_deadlines()
        return replaced

    def take(self, key: str) -> WaitingJob | None:
        """Remove a job and return it."""
        job = self._jobs.pop(key, None)
        if job is None:
            return None
        lanes = self.groups[job.group]
        lane = lanes[job.priority]
        before, size = lane.oldest, lane.size
        lane.removed(job)
        self._note(job, lane, before, size)
        if lane.size == 0:
            del lanes[job.priority]
            if not lanes:
                del self.groups[job.group]
        groups = self.waiting_of[job.tenant]
        groups[job.group] -= 1
        if not groups[job.group]:
            del groups[job.group]
            if not groups:
                del self.waiting_of[job.tenant]
        return job

    def due(self, now: float) -> list[WaitingJob]:
        """The jobs whose deadline makes them overdue; each is told once."""
        found: list[WaitingJob] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            job = self._jobs.get(heapq.heappop(self._deadlines)[1])
            if job is not None and self._policy.bound(job) <= now:  # another of its key may have come
                found.append(job)
        return found

    def _forget_deadlines(self) -> None:
        """Of jobs that wait no longer: most are served long before their deadlines."""
        bound, jobs = self._policy.bound, self._jobs
        self._deadlines = sorted(
            {
                (at, key)
                for at, key in self._deadlines
                if (job := jobs.get(key)) is not None and bound(job) == at
            }
        )

    def heads(self, priority: int) -> Sequence[tuple[float, str, str]]:
        """(enqueued, key, group) of each group's oldest job in this lane, sorted; valid until it changes."""
        standing = self._standing.get(priority)
        return () if standing is None else standing.heads

    def oldest(self, priority: int, most: int) -> Iterator[str]:
        """Groups by the age of their oldest job in this lane."""
        for _, _, group in self.heads(priority)[:most]:
            yield group

    def largest(self, priority: int, most: int) -> Iterator[str]:
        """Groups by the number of their jobs in this lane, to a power of two."""
        standing = self._standing.get(priority)
        for _, group in () if standing is None else standing.sizes[:most]:
            yield group

    def _note(self, job: WaitingJob, lane: Lane, before: WaitingJob | None, size: int) -> None:
        """A lane has changed by one job. Of neighbours that share no binary digit the larger is a power of
        two: it has one digit more."""
        priority = job.priority
        waiting = self._waiting[priority] = self._waiting.get(priority, 0) + lane.size - size
        if not waiting:
            self._standing.pop(priority, None)
        elif lane.oldest is not before or not lane.size & size:
            standing = self._standing.get(priority)
            if standing is None:
                standing = self._standing[priority] = Standing(partial(self._look, priority))
            standing.change(job.group)

    def _look(self, priority: int, group: str) -> tuple[WaitingJob, int] | None:
        lanes = self.groups.get(group)
        lane = None if lanes is None else lanes.get(priority)
        return None if lane is None or lane.oldest is None else (lane.oldest, lane.size)
