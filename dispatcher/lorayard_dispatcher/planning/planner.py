"""Which waiting job goes to which worker now, and what is loaded, drained and fetched for it.

The planner keeps an index of what waits and of the fleet. It is told of each change, and a plan costs what
changed, not what waits. There is no clock, no random number and no I/O in it: the same calls give the same
plans in every process, so that a recorded log replays.

The order of phases, and what each is for:

1. *hand over*: a slot that was drained for an adapter has come free: load it, give its jobs;
2. *overdue*: jobs past their bound, whose loads have a budget;
3. lane by lane: *session*, turns kept back for the worker that has their conversation; *warm*, jobs whose
   adapter is held, the oldest first; then *load*, where a load releases the most work for the disturbance,
   rising with age;
4. *conserve*: rows that only tenants past their share can use;
5. now and then: *rotate*, drain an adapter for one that waits for a slot; *prefetch* what waits into host
   memory; *prewarm* there what may come.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping

from lorayard_dispatcher.planning.aside import bring_back_if_servable, set_aside_unservable
from lorayard_dispatcher.planning.backlog import Backlog
from lorayard_dispatcher.planning.demand import Demand
from lorayard_dispatcher.planning.desks import Desks
from lorayard_dispatcher.planning.loads import Loads
from lorayard_dispatcher.planning.making import Books, Making
from lorayard_dispatcher.planning.news import News
from lorayard_dispatcher.planning.phases.conserve import conserve
from lorayard_dispatcher.planning.phases.exchange import exchange_drains
from lorayard_dispatcher.planning.phases.hand_over import hand_over_drained
from lorayard_dispatcher.planning.phases.homes import move
from lorayard_dispatcher.planning.phases.lanes import serve_lanes
from lorayard_dispatcher.planning.phases.overdue import serve_overdue
from lorayard_dispatcher.planning.phases.prewarm import prewarm
from lorayard_dispatcher.planning.phases.rotate import prefetch, rotate
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.shares import Shares
from lorayard_dispatcher.planning.values import Plan, WaitingJob, WorkerView
from lorayard_dispatcher.planning.waits import Wait, why

MOST_ARRIVED = 128
"""Groups that one plan looks at because jobs came: a burst of thousands is spread over plans."""


class Planner:
    """The index, and what was decided before: served tokens, drains, load budgets, demand."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        served: Mapping[str, float] | None = None,
        demand: Mapping[str, float] | None = None,
    ) -> None:
        """`served` is virtual tokens per tenant, `demand` jobs per second by group; None: learned."""
        self.policy = policy or Policy()
        backlog, desks, learned = Backlog(self.policy), Desks(self.policy), Demand(demand)
        self._books = Books(
            policy=self.policy,
            backlog=backlog,
            desks=desks,
            shares=Shares(self.policy, served),
            demand=learned,
            loads=Loads(self.policy, backlog, desks, learned),
        )
        self._news = News()
        self._looked_at = -math.inf

    def __len__(self) -> int:
        return len(self._books.backlog) + len(self._books.homes)

    @property
    def served(self) -> Mapping[str, float]:
        """Virtual tokens per tenant."""
        return self._books.shares.served

    @property
    def fairness_gap(self) -> float:
        """Virtual tokens between the most and the least served tenant of those that can go."""
        return self._books.shares.gap

    @property
    def waiting_tenants(self) -> Container[str]:
        """Those with jobs that wait."""
        return self._books.backlog.waiting_of

    def expect(self, adapters: Iterable[str]) -> None:
        """The adapters that jobs may ask for, in the order in which they are brought near; instead of those
        told before."""
        self._books.prewarming.expect(adapters)

    def prewarms(self, now: float) -> bool:
        """Whether a plan is worth while though nothing waits: adapters may be brought near."""
        return self._books.prewarming.is_due(self.policy.prewarm_copies, now)

    def put(self, job: WaitingJob, now: float | None = None) -> None:
        """A job waits. One of the same key is replaced; `now` is when it came, if it counts as demand."""
        books = self._books
        books.homes.take(job.key)
        replaced = books.backlog.put(job)
        if replaced is not None:
            books.not_due(replaced)
            if replaced.tenant not in books.backlog.waiting_of:
                books.shares.waits_no_more(replaced.tenant)
        books.shares.waits(job.tenant)
        if job.tenant in books.shares.aside:
            bring_back_if_servable(books, job.tenant)
        self._news.add(job.group)
        if now is not None:
            books.demand.arrived(job.group, now)
        if self.policy.parts_of and (parts := self.policy.sum_of(job.group)):
            books.desks.compose(job.group, parts)
            if now is not None:
                for part in parts:
                    books.demand.arrived(part, now)

    def take(self, key: str) -> WaitingJob | None:
        """A job waits no longer: given away, cancelled, expired, answered otherwise."""
        return self._books.take(key)

    def see(self, view: WorkerView) -> None:
        """A worker as it is now, hand-overs that it has not seen laid over."""
        self._books.desks.see(view)

    def lose(self, worker: str) -> None:
        """A worker is gone, or may get nothing for now; turns that were kept back for it move at once."""
        self._books.desks.lose(worker)
        self._news.update(move(self._books, self._books.homes.of([worker])))

    def charge(self, tenant: str, tokens: float) -> None:
        """Correct what a tenant was served: actual less expected tokens."""
        self._books.shares.charge(tenant, tokens)

    def due_by_deadline(self, now: float) -> Counter[int]:
        """Jobs, by priority, that are overdue for the sake of a deadline, and not of their age."""
        late_at = self.policy.late_at
        return Counter(
            priority
            for (_, priority), jobs in self._books.due.items()
            for job in jobs.values()
            if late_at(job.enqueued_at, priority) > now
        )

    def why(self, key: str, now: float) -> Wait | None:
        """Why a job waits; None when it does not wait here."""
        return why(self._books, key, now)

    def plan(self, now: float) -> Plan:
        """What to hand over at `now` (unix seconds). Its jobs wait no longer, and the views count them."""
        books = self._books
        self._news.update(move(books, books.homes.over(now)))
        for job in books.backlog.due(now):
            books.due.setdefault((job.group, job.priority), {})[job.key] = job
        # A clock that steps back would otherwise keep it from looking for as long.
        whole = not 0.0 <= now - self._looked_at < self.policy.look_seconds
        if whole:
            self._looked_at = now
            books.forget_sums()
            set_aside_unservable(books)
        self._news.update(books.desks.landed)
        books.desks.landed.clear()
        arrived = self._news.take(books.backlog.groups, MOST_ARRIVED)
        changed, books.desks.changed = books.desks.changed, set()
        making = Making(books, now, whole=whole, arrived=arrived, changed=changed)
        exchange_drains(making)
        hand_over_drained(making)
        near = making.near()
        serve_overdue(making, near)
        serve_lanes(making, near)
        conserve(making)
        if whole:
            rotate(making)
            prefetch(making)
            prewarm(making)
        self._news.update(making.moved)
        return making.plan()


def plan(
    now: float,
    jobs: Iterable[WaitingJob],
    fleet: Iterable[WorkerView],
    served: Mapping[str, float],
    demand: Mapping[str, float],
    policy: Policy,
) -> Plan:
    """One plan from a snapshot; `served` is virtual tokens per tenant, `demand` jobs per second by group."""
    jobs = list(jobs)
    # Nobody is lifted to the floor of whoever happens to come first.
    known = {**{job.tenant: 0.0 for job in jobs}, **served}
    planner = Planner(policy, served=known, demand=demand)
    for job in jobs:
        planner.put(job)
    for view in fleet:
        planner.see(view)
    return planner.plan(now)
