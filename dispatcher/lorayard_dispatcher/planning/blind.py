"""Planning without sight: most of the fleet has not been heard for too long.

Then what is believed of load is worth less than no belief at all. Every adapter has a home by rendezvous
hash, the same in every dispatcher, and a worker takes no more than a little above its part: a group stays
together, no worker is buried, and when one is gone only its groups find a new home.

Source of the load bound: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2016.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Decision,
    Phase,
    Plan,
    Source,
    Waiting,
    WaitingJob,
    WorkerView,
)
from lorayard_shared.rendezvous import strongest, weight

BLIND_SHARE = 0.5
"""Blind when more than this share of the views is stale."""
SIGHTED_SHARE = 0.25
"""Sighted again only when at most this share is: in between it stays as it was."""
SIGHTED_SECONDS = 2.0
"""And for so long, which is two beats: one late beat must not turn a small yard back and forth."""
LOAD_BOUND = 1.25
"""Over the mean. The source's bound on moves at a change is 1/(bound - 1)² times the least possible."""

FEW = 64
"""Workers with room that are all put in order for a group: with more, those near its home come first."""
NEAR = 16
"""Workers remembered for a group: the load bound sends few jobs past them."""
MOST_GROUPS = 4096
"""Remembered for one fleet; with their workers some 2 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Whether the fleet is seen."""

    blind: bool = False
    clear_since: float | None = None  # while blind: since when enough was heard

    def look(self, *, stale: int, views: int, now: float) -> Sight:
        """Sight at `now` (monotonic seconds), with so many of the views stale. No views teach nothing."""
        if not self.blind:
            return Sight(blind=stale > BLIND_SHARE * views)
        if views == 0 or stale > SIGHTED_SHARE * views:
            return replace(self, clear_since=None)
        since = now if self.clear_since is None else self.clear_since
        return Sight() if now - since >= SIGHTED_SECONDS else replace(self, clear_since=since)


def by_rendezvous(group: str, fleet: Sequence[WorkerView], policy: Policy) -> list[WorkerView]:
    """The workers that can serve a group, its home first."""
    able = [view for view in fleet if _fits(view, group, policy)]
    return sorted(able, key=lambda view: (-weight(group, view.worker), view.worker))


def plan_blind(waiting: Waiting, fleet: Sequence[WorkerView], policy: Policy) -> Plan:
    """Hand over by hash and bounded load; the urgent before the rest, then the group with the oldest job.

    Views count their load by own hand-overs. Nothing is drained or fetched on a guess. Past the bound a job
    goes on only where every worker that can serve it is past it.
    """
    room = sum([view.room for view in fleet])
    if room == 0:
        return Plan()
    jobs = sum([view.in_flight for view in fleet]) + min(room, sum(map(len, waiting.values())))
    desks = _Desks(fleet, jobs, policy)
    turns = [
        (priority, first.enqueued_at, first.key, group)
        for (group, priority), queue in waiting.items()
        for first in queue[:1]
    ]
    heapq.heapify(turns)
    decisions: list[Decision] = []
    while turns and len(decisions) < room:
        priority, _, _, group = heapq.heappop(turns)
        decisions += _place(waiting[group, priority], group, desks)
    return Plan(decisions=tuple(decisions))


class _Homes:
    """Where the groups are at home in one fleet: the first few workers, as more are rarely asked for."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._near: dict[str, list[str]] = {}

    def near(self, group: str) -> list[str]:
        """The first few workers by rendezvous."""
        found = self._near.get(group)
        if found is None:
            if len(self._near) >= MOST_GROUPS:
                self._near.clear()
            found = self._near[group] = strongest(group, self._names, NEAR)
        return found


@lru_cache(maxsize=2)
def _homes(names: tuple[str, ...]) -> _Homes:
    return _Homes(names)


class _Desk:
    """One worker while the plan is being made."""

    __slots__ = ("bound", "holds", "jobs", "room", "view")

    def __init__(self, view: WorkerView, bound: int) -> None:
        self.view = view
        self.bound = bound
        """How many of all jobs it may have: its part by rows, and a quarter more."""
        self.room = view.room
        self.jobs = view.in_flight
        self.holds = set(view.resident)


class _Desks:
    """The workers that were looked at so far."""

    def __init__(self, fleet: Sequence[WorkerView], jobs: int, policy: Policy) -> None:
        """`jobs` in all, those included that are to be given."""
        self._open = [view for view in fleet if view.room > 0]
        self._policy = policy
        self._jobs = jobs
        self._rows = sum([max(1, view.rows) for view in fleet])
        self._views = {view.worker: view for view in fleet}
        self._homes = _homes(tuple(self._views))
        self._desks: dict[str, _Desk] = {}

    def near(self, group: str) -> list[_Desk]:
        """The first few that can serve a group, its home first; where few have room, all."""
        if len(self._open) <= FEW:
            return self.all(group)
        views = [self._views[name] for name in self._homes.near(group)]
        return [self._desk(view) for view in views if _fits(view, group, self._policy)]

    def all(self, group: str) -> list[_Desk]:
        """All that can and had room when the plan was begun."""
        able = [view.worker for view in self._open if _fits(view, group, self._policy)]
        return [self._desk(self._views[name]) for name in strongest(group, able, len(able))]

    def _desk(self, view: WorkerView) -> _Desk:
        desk = self._desks.get(view.worker)
        if desk is None:
            bound = math.ceil(LOAD_BOUND * self._jobs * max(1, view.rows) / self._rows)
            desk = self._desks[view.worker] = _Desk(view, bound)
        return desk

    def parts(self, group: str) -> frozenset[str]:
        """The adapters that a job of the group needs in slots."""
        return frozenset(self._policy.sum_of(group) or (group,))

    def at(self, worker: str, group: str) -> _Desk | None:
        """One of them by name."""
        view = self._views.get(worker)
        return self._desk(view) if view is not None and _fits(view, group, self._policy) else None


def _place(jobs: Sequence[WaitingJob], group: str, desks: _Desks) -> list[Decision]:
    decisions: list[Decision] = []
    order, is_whole = desks.near(group), False
    for job in jobs:
        desk = _home(job, desks) or _bounded(order)
        if desk is None and not is_whole:
            order, is_whole = desks.all(group), True
            desk = _bounded(order)
        if desk is None:
            desk = next((desk for desk in order if desk.room > 0), None)
        if desk is None:
            break
        decisions.append(_give(job, desk, desks.parts(group)))
    return decisions


def _bounded(order: Sequence[_Desk]) -> _Desk | None:
    return next((desk for desk in order if desk.room > 0 and desk.jobs < desk.bound), None)


def _home(job: WaitingJob, desks: _Desks) -> _Desk | None:
    """The worker that has its session's conversation."""
    desk = None if job.home is None else desks.at(job.home, job.group)
    there = desk is not None and desks.parts(job.group) <= desk.holds
    return desk if desk is not None and there and _bounded((desk,)) else None


def _give(job: WaitingJob, desk: _Desk, adapters: frozenset[str]) -> Decision:
    missing = adapters - desk.holds
    source = Source.HOST if missing <= desk.view.host else Source.DISK
    if job.group == BASE_GROUP or not missing:
        source = Source.SLOT
    desk.room -= 1
    desk.jobs += 1
    desk.holds |= adapters
    return Decision(
        job=job.key,
        group=job.group,
        worker=desk.view.worker,
        phase=Phase.BLIND,
        source=source,
        age_seconds=desk.view.age_seconds,
    )


def _fits(view: WorkerView, group: str, policy: Policy) -> bool:
    return policy.fits(view, group)
