"""Jobs past their bound go before warm work, but their loads have a budget.

Without the budget an age rule turns overload into first-in-first-out and halves throughput; without the
shares of tenants the old jobs of one that floods would take all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.loads import Load
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase, Source, WaitingJob

DRAINS = 16
"""For a group that nobody holds, while it waits as long as its bound. When a drain ends is up to its longest
row, which may be longer than the bound; the first of several ends soon."""

DRAINS_FROM = 3
"""Of those: a usual wait needs one only."""


def serve_overdue(making: Making, near: Collection[str]) -> None:
    """Those whose adapter is held near what changed, and those that nobody holds."""
    books = making.books
    if not books.desks.open and not making.whole:
        return
    wanted = {*near, *books.stranded}
    late = sorted(
        {
            (priority, making.turn(group, bound), group)
            for priority, bound, group in _late_groups(making, wanted)
        }
    )
    if making.whole:
        _drain_in_time(making)
    stranded: dict[str, None] = {}
    for priority, _, group in late:
        while (job := _late_job(making, group, priority)) is not None:
            desk = books.desks.holder(group, job.key, queue=making.queue, home=job.home)
            if desk is not None:
                making.give(job, desk, Phase.OVERDUE)
            elif group == BASE_GROUP or books.desks.holders.get(group):
                break  # its holders are full: it is first there when one is not
            elif not _force(making, group, job):
                stranded[group] = None
                break
    if making.whole:
        books.stranded = tuple(stranded)


def _late_groups(making: Making, wanted: Collection[str]) -> Iterator[tuple[int, float, str]]:
    backlog, policy, now = making.books.backlog, making.books.policy, making.now
    groups = backlog.groups
    if making.whole:
        for priority in backlog.priorities():
            for enqueued_at, _, group in backlog.heads(priority)[: policy.sample]:
                bound = policy.late_at(enqueued_at, priority)
                if bound > now:
                    break
                yield (priority, bound, group)
    since = policy.earliest_late(now)
    for group in wanted:
        for priority, lane in groups[group].items() if group in groups else ():
            oldest = lane.oldest
            if oldest is None or oldest.enqueued_at > since:
                continue  # nearly all of hundreds
            if (bound := policy.late_at(oldest.enqueued_at, priority)) <= now:
                yield (priority, bound, group)
    for (group, priority), jobs in making.books.due.items():
        first = next(iter(jobs.values()))  # they came in the order of their bounds
        yield (priority, policy.bound(first), group)


def _late_job(making: Making, group: str, priority: int) -> WaitingJob | None:
    job = making.next(group, priority)
    if job is not None and making.books.policy.late_at(job.enqueued_at, priority) <= making.now:
        return job
    due = making.books.due.get((group, priority), {})
    return next((job for job in due.values() if making.books.shares.allowed(job.tenant)), None)


def _force(making: Making, group: str, job: WaitingJob) -> bool:
    """Load its adapter where that is cheapest, or see to it that it can be loaded soon."""
    found = _cheapest(making, group, job)
    if found is None:
        if making.whole:
            _drain_for(making, group)
        return False
    desk, load = found
    if not making.books.loads.staged(desk, group, making.now, early=False):
        making.fetch(desk, group)
        return False
    loads = making.books.loads
    disk = loads.disk_seconds(desk) if load.source is Source.DISK else 0.0
    desk.budget_seconds -= loads.host_seconds(desk) + disk
    making.load(desk, group, load)
    making.give(job, desk, Phase.OVERDUE, load)
    return True


def _cheapest(making: Making, group: str, job: WaitingJob) -> tuple[Desk, Load] | None:
    best: tuple[float, str] | None = None
    found: tuple[Desk, Load] | None = None
    for desk in making.books.desks.strangers(group, job.key):
        if desk.drain is not None and desk.drain[1] != group:
            continue
        if _budget(making, desk) < making.books.loads.host_seconds(desk):
            continue
        load = making.books.loads.load(desk, group, making.now, forced=True)
        if load is None:
            continue
        rank = (load.cost_seconds, desk.name)
        if best is None or rank < best:
            best, found = rank, (desk, load)
    return found


def _budget(making: Making, desk: Desk) -> float:
    policy, loads = making.books.policy, making.books.loads
    most = 2.0 * (loads.disk_seconds(desk) + loads.host_seconds(desk))
    return desk.budget(making.now, policy.overdue_share, most)


def _drain_in_time(making: Making) -> None:
    """Several slots for each group that nobody holds, before it is overdue: the longer it has waited, the
    more. Where more such groups wait than there are workers, slots go round as fast as they can anyway."""
    desks = making.books.desks
    late = _late_soon(making)
    if len(late) > len(desks):
        return
    drains = Counter(drain[1] for name in desks.draining if (drain := desks.by_name[name].drain) is not None)
    crowded = desks.crowded(desks.names) if late else []
    for group, part in late.items():
        if crowded and drains[group] < int(DRAINS * part):
            _drain(making, group, crowded)


def _late_soon(making: Making) -> dict[str, float]:
    """Groups that nobody holds, and which part of their bound they have waited for."""
    found: dict[str, float] = {}
    books, policy = making.books, making.books.policy
    for priority in books.backlog.priorities():
        bound = policy.late_at(0.0, priority)
        for enqueued_at, _, group in books.backlog.heads(priority)[: policy.sample]:
            part = (making.now - enqueued_at) / bound if bound else 1.0
            if part * DRAINS < DRAINS_FROM:
                break
            lane = making.lane(group, priority)
            if group == BASE_GROUP or books.desks.holders.get(group) or lane is None:
                continue
            if lane.eligible(books.shares, 1):
                found[group] = max(part, found.get(group, 0.0))
    return found


def _drain_for(making: Making, group: str) -> None:
    """Every slot is in use: free one."""
    desks = making.books.desks
    if len(desks.draining) < max(1, len(desks) // 4) and group not in making.drained_for():
        _drain(making, group, desks.crowded(desks.names))


def _drain(making: Making, group: str, crowded: Sequence[str]) -> None:
    """Stop feeding the least used adapter of one worker."""
    desks, policy = making.books.desks, making.books.policy
    base = policy.base_of.get(group)

    def passes(desk: Desk) -> bool:
        return desk.lacks_room(group) and desk.drain is None and desk.fits(group, base)

    best: tuple[int, str, str] | None = None
    for desk in desks.choices(crowded, group, passes):
        if making.books.loads.load(desk, group, making.now, forced=True) is not None:
            return  # only room is short, or the budget
        for adapter, jobs in desk.drainable(group):
            rank = (jobs, desk.name, adapter)
            if not desk.resident[adapter].pinned and (best is None or rank < best):
                best = rank
    if best is not None:
        making.drain(desks.by_name[best[1]], best[2], group)
