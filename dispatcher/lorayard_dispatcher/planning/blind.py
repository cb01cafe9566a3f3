"""Planning without sight: most of the fleet has not been heard for too long.

Then what is believed of load is worth less than no belief at all. Every adapter has a home by rendezvous
hash, the same in every dispatcher, and a worker takes no more than a little above its part: a group stays
together, no worker is buried, and when one is gone only its groups find a new home.

Source of the load bound: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from lorayard_shared.rendezvous import weight

BLIND_SHARE = 0.5
"""Blind when more than this share of the views is stale."""
SIGHTED_SHARE = 0.25
"""Sighted again only when at most this share is: in between it stays as it was."""
SIGHTED_SECONDS = 2.0
"""And for so long, which is two beats: one late beat must not turn a small yard back and forth."""
LOAD_BOUND = 1.25
"""Over the mean. The source's bound on moves at a change is 1/(bound - 1)² times the least possible."""


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
    desks = {view.worker: _Desk(view, view.room, view.in_flight, set(view.resident)) for view in fleet}
    room = sum(desk.room for desk in desks.values())
    jobs = sum(desk.jobs for desk in desks.values())
    bounds = _bounds(fleet, jobs + min(room, sum(map(len, waiting.values()))))
    decisions: list[Decision] = []
    for group, priority in sorted(waiting, key=lambda queue: (queue[1], waiting[queue][0].order)):
        if len(decisions) == room:
            break
        order = [desks[view.worker] for view in by_rendezvous(group, fleet, policy)]
        decisions += _place(waiting[group, priority], order, bounds)
    return Plan(decisions=tuple(decisions))


@dataclass(slots=True)
class _Desk:
    """One worker while the plan is being made."""

    view: WorkerView
    room: int
    jobs: int
    holds: set[str]


def _bounds(fleet: Sequence[WorkerView], jobs: int) -> dict[str, int]:
    """How many of all jobs each worker may have: its part by rows, and a quarter more."""
    rows = sum(max(1, view.rows) for view in fleet)
    return {view.worker: math.ceil(LOAD_BOUND * jobs * max(1, view.rows) / rows) for view in fleet}


def _place(jobs: Sequence[WaitingJob], order: Sequence[_Desk], bounds: dict[str, int]) -> list[Decision]:
    decisions: list[Decision] = []
    for job in jobs:
        bounded = (
            desk for desk in _home_first(job, order) if desk.room > 0 and desk.jobs < bounds[desk.view.worker]
        )
        desk = next(bounded, None) or next((desk for desk in order if desk.room > 0), None)
        if desk is None:
            break
        decisions.append(_give(job, desk))
    return decisions


def _home_first(job: WaitingJob, order: Sequence[_Desk]) -> Iterator[_Desk]:
    """The worker that has its session's conversation, then the others."""
    if job.home is not None:
        yield from (desk for desk in order if desk.view.worker == job.home and job.group in desk.holds)
    yield from order


def _give(job: WaitingJob, desk: _Desk) -> Decision:
    source = Source.HOST if job.group in desk.view.host else Source.DISK
    if job.group == BASE_GROUP or job.group in desk.holds:
        source = Source.SLOT
    desk.room -= 1
    desk.jobs += 1
    desk.holds.add(job.group)
    return Decision(
        job=job.key,
        group=job.group,
        worker=desk.view.worker,
        phase=Phase.BLIND,
        source=source,
        age_seconds=desk.view.age_seconds,
    )


def _fits(view: WorkerView, group: str, policy: Policy) -> bool:
    return view.serves(group, policy.base_of.get(group), policy.columns_of.get(group, 0))
