"""A plan in the making: what its phases share."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from lorayard_dispatcher.planning.backlog import Backlog, Lane
from lorayard_dispatcher.planning.demand import Demand
from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.desks import Desks
from lorayard_dispatcher.planning.homes import Homes
from lorayard_dispatcher.planning.loads import Load, Loads
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.prewarming import Prewarming
from lorayard_dispatcher.planning.shares import Shares
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Decision,
    Drain,
    Phase,
    Plan,
    Prefetch,
    Queue,
    Source,
    WaitingJob,
)

WALK = 512
"""Groups looked at for those worth a load: a tenant that floods may have hundreds past its share."""


@dataclass(slots=True, kw_only=True)
class Books:
    """What is known between plans."""

    policy: Policy
    backlog: Backlog
    desks: Desks
    shares: Shares
    demand: Demand
    loads: Loads
    prewarming: Prewarming = field(default_factory=Prewarming)
    due: dict[Queue, dict[str, WaitingJob]] = field(default_factory=dict[Queue, dict[str, WaitingJob]])
    """Jobs that their deadline has made overdue, by queue and key, the earliest bound first."""
    sampled: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    """By priority: groups worth a load at the last whole look."""
    walked: dict[int, int] = field(default_factory=dict[int, int])
    """By priority: how far the walk over groups had come that were past their shares."""
    homes: Homes = field(default_factory=Homes)
    """Turns of sessions that are kept back for the worker that has their conversation."""
    stranded: tuple[str, ...] = ()
    """Groups that were overdue with nobody to hold them at the last whole look."""
    served_changes: int = 0
    """Of the desks, when it was last looked who can be served again."""

    def take(self, key: str) -> WaitingJob | None:
        """A job waits no longer."""
        kept = self.homes.take(key)
        if kept is not None:
            return kept
        job = self.backlog.take(key)
        if job is None:
            return None
        if self.due:
            self.not_due(job)
        if job.tenant not in self.backlog.waiting_of:
            self.shares.waits_no_more(job.tenant)
        return job

    def forget_sums(self) -> None:
        """Of adapters that no job waits for any more."""
        kept = self.homes.groups if self.homes else set[str]()
        self.desks.forget_sums(lambda group: group in self.backlog.groups or group in kept)

    def not_due(self, job: WaitingJob) -> None:
        """It is no longer among those that their deadline has made overdue."""
        queue = (job.group, job.priority)
        jobs = self.due.get(queue)
        if jobs is not None and jobs.pop(job.key, None) is not None and not jobs:
            del self.due[queue]


class Making:
    """Decisions so far, laid over the books as they fall."""

    def __init__(
        self, books: Books, now: float, *, whole: bool, arrived: Collection[str], changed: Collection[str]
    ) -> None:
        """`arrived` groups, of which jobs wait, and `changed` workers are looked at; in a whole look a sample
        of all."""
        self.books = books
        self.now = now
        self.whole = whole
        self.arrived = sorted(arrived)
        self.changed = [books.desks.by_name[name] for name in sorted(changed)]
        ahead = books.policy.queue_from * len(books.desks)
        self.queue = len(books.backlog) > ahead
        """Whether workers are given jobs beyond their rows: where little waits, a job goes to the first row
        that comes free anywhere."""
        self._sampled: set[int] = set()
        self.held_back: set[str] = set()
        """Groups of which only tenants past their share are left."""
        self.put_off: set[str] = set()
        """Groups that wait for their copy in host memory."""
        self.moved: set[str] = set()
        """Groups of turns that were kept back in vain: the next plan looks at them."""
        self._decisions: list[Decision] = []
        self._drains: list[Drain] = []
        self._prefetches: list[Prefetch] = []

    def plan(self) -> Plan:
        """What came of it."""
        return Plan(
            decisions=tuple(self._decisions),
            drains=tuple(self._drains),
            prefetches=tuple(self._prefetches),
        )

    def near(self) -> set[str]:
        """Groups that the changes may have found a holder for."""
        groups = self.books.backlog.groups
        found = set(self.arrived)
        for desk in self.changed:
            found.update(filter(groups.__contains__, desk.resident))
            if desk.sums:
                found |= desk.sums.keys() & groups.keys()
        if BASE_GROUP in groups and self.books.desks.open:
            found.add(BASE_GROUP)
        if self.whole:
            for priority in self.books.backlog.priorities():
                found.update(self.books.backlog.oldest(priority, self.books.policy.sample))
        return found

    def sample(self, priority: int) -> list[str]:
        """Groups worth a load: the oldest and the largest of which somebody within his share waits.

        Found anew at each whole look; where only events are looked at, the first few of those.
        """
        if not self.whole:
            return self.books.sampled.get(priority, [])[: self.books.policy.sample // 2]
        if priority not in self._sampled:
            self._sampled.add(priority)
            backlog = self.books.backlog
            oldest = self._eligible(priority, backlog.heads(priority))
            largest = self._eligible(priority, list(enumerate(backlog.largest(priority, WALK))))
            preferred = self._preferred(priority) if self.books.policy.worth_of else ()
            pairs = zip_longest(preferred, oldest, largest)
            self.books.sampled[priority] = list(
                dict.fromkeys(group for pair in pairs for group in pair if group is not None)
            )
        return self.books.sampled[priority]

    def _eligible(
        self, priority: int, groups: Sequence[tuple[float, str, str]] | Sequence[tuple[int, str]]
    ) -> list[str]:
        """The first few that a load would help; their names stand last. Where many are not, the walk goes on
        from look to look."""
        most, found = self.books.policy.sample, list[str]()
        walked = self.books.walked.get(priority, 0) if len(groups) > WALK else 0
        for place in (*groups[:WALK], *groups[walked : walked + WALK]):
            group = place[-1]
            lane = self.lane(group, priority)
            if group == BASE_GROUP or lane is None:
                continue
            if lane.eligible(self.books.shares, 1):
                found.append(group)
            elif len(self.held_back) < most:
                self.held_back.add(group)
            if len(found) == most:
                return found
        self.books.walked[priority] = walked + WALK if walked + WALK < len(groups) else 0
        return found

    def _preferred(self, priority: int) -> list[str]:
        """The oldest of those whose jobs count more than usual ones: among hundreds of groups they would be
        looked at late."""
        groups, shares = self.books.backlog.groups, self.books.shares
        found: list[tuple[float, str]] = []
        for group, worth in self.books.policy.worth_of.items():
            if worth <= 1.0 or group not in groups or (lane := groups[group].get(priority)) is None:
                continue
            if lane.oldest is not None and lane.eligible(shares, 1):
                found.append((lane.oldest.enqueued_at, group))
        return [group for _, group in sorted(found)[: self.books.policy.sample]]

    def lane(self, group: str, priority: int) -> Lane | None:
        """The jobs of a group in a lane, if any wait."""
        lanes = self.books.backlog.groups.get(group)
        return None if lanes is None else lanes.get(priority)

    def next(self, group: str, priority: int) -> WaitingJob | None:
        """The oldest job of a tenant within its share."""
        lanes = self.books.backlog.groups.get(group)
        if lanes is None or (lane := lanes.get(priority)) is None:
            return None
        return self.first_of(lane, group)

    def first_of(self, lane: Lane, group: str) -> WaitingJob | None:
        """The same of a lane that is at hand."""
        job = lane.head(self.books.shares)
        if job is None:
            self.held_back.add(group)
        return job

    def turn(self, group: str, at: float) -> tuple[float, float, float]:
        """When the turn of a group is that has waited since `at`, or is due then: the least is first."""
        alike = self.books.policy.alike_seconds
        if not self.queue or not alike:
            return (at, 0.0, at)
        desks = self.books.desks
        for name in desks.open_holders.get(group, ()):
            if group in desks.by_name[name].jobs:
                return (at // alike, self.books.backlog.pending(group), at)
        return (at // alike, math.inf, at)

    def warm_turn(self, group: str, at: float) -> tuple[float, ...]:
        """The same of jobs that are not due yet: of those that are equally old what counts more is first."""
        turn, policy = self.turn(group, at), self.books.policy
        if not policy.worth_of:
            return turn
        return (at // policy.alike_seconds if policy.alike_seconds else at, -policy.worth(group), *turn[1:])

    def has_room(self, desk: Desk, *, spare: bool = False) -> bool:
        """Whether a job that it is warm for may go there."""
        return desk.spare > (desk.kept if spare else 0) and (self.queue or desk.in_flight < desk.rows)

    def stays(self, job: WaitingJob, desk: Desk) -> bool:
        """Keep a turn back for the worker that has its conversation, rather than give it to another one: as
        long as reading the conversation anew would take, and never past its bound."""
        if job.home is None or job.home == desk.name or job.key in self.books.homes.moved:
            return False
        home, policy = self.books.desks.by_name.get(job.home), self.books.policy
        if home is None or not self.books.desks.keeps(home, job.group):
            return False
        until = min(self.now + job.moving_seconds, policy.bound(job))
        # Each waits for a row of its own there; one that is not looked at before it moves may as well go.
        if until < self.now + policy.look_seconds or self.books.homes.count(job.home) >= home.rows:
            return False
        self.books.take(job.key)
        self.books.homes.keep(job, until, self.now)
        return True

    def give(self, job: WaitingJob, desk: Desk, phase: Phase, load: Load | None = None) -> None:
        """Bind a job to a worker that holds its adapter, or has just been told to load it."""
        self.books.take(job.key)
        self.books.shares.charge(job.tenant, job.tokens)
        self.books.desks.give(desk, job.group)
        self._decisions.append(_decision(job, desk, phase, load))

    def load(self, desk: Desk, group: str, load: Load) -> None:
        """Put an adapter on its way to a worker."""
        self.books.desks.load(desk, group, load.evicts, self.now)

    def fetch(self, desk: Desk, group: str) -> None:
        """Have a worker bring an adapter into host memory, unless it has it or was asked not long ago."""
        if group in self.books.policy.parts_of:
            if self.books.policy.sum_of(group):
                for part in desk.missing(group):
                    self.fetch(desk, part)
            return  # what is derived is made of its parts' files, by the worker that runs it
        if group in desk.host or desk.waits_for_copy(group, self.now, self.books.policy.fetch_seconds):
            return
        self.books.desks.fetch(desk, group, self.now)
        self._prefetches.append(Prefetch(worker=desk.name, adapter=group))

    def drained_for(self) -> set[str]:
        """Groups that a slot is being freed for."""
        desks = self.books.desks
        return {drain[1] for name in desks.draining if (drain := desks.by_name[name].drain) is not None}

    def drain(self, desk: Desk, adapter: str, group: str) -> None:
        """Free a slot for a group, which is fetched meanwhile."""
        self.fetch(desk, group)
        self.books.desks.drain(desk, adapter, group)
        self._drains.append(Drain(worker=desk.name, adapter=adapter, for_group=group))


def _decision(job: WaitingJob, desk: Desk, phase: Phase, load: Load | None) -> Decision:
    age = desk.view.age_seconds
    if load is None:
        return Decision(job.key, job.group, desk.name, phase, Source.SLOT, 0.0, None, (), age)
    return Decision(
        job=job.key,
        group=job.group,
        worker=desk.name,
        phase=phase,
        source=load.source,
        cost_seconds=load.cost_seconds,
        evicts=load.evicts[0] if load.evicts else None,
        evicts_more=load.evicts[1:],
        age_seconds=age,
    )
