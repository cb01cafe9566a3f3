"""Why a job waits, as the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorayard_dispatcher.planning.making import Books
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob


class WaitsFor(StrEnum):
    """What would let it go."""

    WORKER = "worker"
    """No live worker can serve it."""
    SHARE = "share"
    """Its tenant is past its share while others wait."""
    HOME = "home"
    """A row of the worker that has its session's conversation, for as long as moving would cost."""
    ROW = "row"
    """Every row of the workers that hold its adapter is taken, and a further copy would not pay."""
    COPY = "copy"
    """Its adapter is on its way into a worker's host memory."""
    DRAIN = "drain"
    """A slot is being drained for its adapter."""
    SLOT = "slot"
    """Every slot holds an adapter in use, or every row is taken."""
    PLAN = "plan"
    """Nothing: the next plan will take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One job's."""

    job: WaitingJob
    waits_for: WaitsFor
    ahead: int  # jobs of its group and lane that are older
    overdue_at: float  # unix seconds
    holders: tuple[str, ...] = ()
    worker: str | None = None  # that drains or fetches for it
    drained: str | None = None  # the adapter that leaves
    until: float | None = None  # unix seconds: when it waits for that worker no longer


def why(books: Books, key: str, now: float) -> Wait | None:
    """Why a job waits; None when it does not wait here."""
    kept = books.homes.get(key)
    if kept is not None:
        return Wait(
            job=kept,
            waits_for=WaitsFor.HOME,
            ahead=0,
            overdue_at=books.policy.bound(kept),
            holders=tuple(books.desks.holders.get(kept.group, ())),
            worker=kept.home,
            until=books.homes.until(kept),
        )
    job = books.backlog.get(key)
    if job is None:
        return None
    lane = books.backlog.groups[job.group][job.priority]
    waits_for, worker, drained = _cause(books, job, now)
    return Wait(
        job=job,
        waits_for=waits_for,
        ahead=lane.older_than(job),
        overdue_at=books.policy.bound(job),
        holders=tuple(books.desks.holders.get(job.group, ())),
        worker=worker,
        drained=drained,
    )


def _cause(books: Books, job: WaitingJob, now: float) -> tuple[WaitsFor, str | None, str | None]:
    desks = books.desks
    base = books.policy.base_of.get(job.group)
    able = [desk for desk in desks.by_name.values() if desk.fits(job.group, base)]
    if not able:
        return (WaitsFor.WORKER, None, None)
    if not books.shares.allowed(job.tenant):
        return (WaitsFor.SHARE, None, None)
    for name in sorted(desks.draining):
        drain = desks.by_name[name].drain
        if drain is not None and drain[1] == job.group:
            return (WaitsFor.DRAIN, name, drain[0])
    if job.group != BASE_GROUP and not desks.holders.get(job.group):
        fetching = sorted(
            desk.name
            for desk in able
            if any(adapter in desk.asked or adapter in desk.fetching for adapter in desk.missing(job.group))
        )
        if fetching:
            return (WaitsFor.COPY, fetching[0], None)
        free = any(desk.room > 0 and books.loads.load(desk, job.group, now) is not None for desk in able)
        return (WaitsFor.PLAN if free else WaitsFor.SLOT, None, None)
    room = desks.holder(job.group, job.key, queue=False) is not None
    return (WaitsFor.PLAN if room else WaitsFor.ROW, None, None)
