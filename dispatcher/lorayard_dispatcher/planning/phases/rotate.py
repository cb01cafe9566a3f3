"""Adapter slots are what is short: drain the least useful one, and fetch what will be loaded next."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.desks import Desks
from lorayard_dispatcher.planning.making import Making
from lorayard_shared.rendezvous import weight

PAST_SHARE = 0.25
"""What a job of a tenant past its share counts when it is asked whether a slot goes to somebody who is not.
At 0 slots leave adapters whose tenants are past their share for a moment only; at 1 a cold adapter waits
behind everything that a flood has pending."""

OTHERS_SECONDS = 1.0
"""What a job waits longer when one of several holders of its adapter is drained: the others serve it, though
with fewer rows between them. With no other holder it waits until the last rows there have ended."""


def rotate(making: Making) -> None:
    """For each group that nobody holds: drain an adapter that makes jobs wait for less than the group has
    waited: where slots turn over, one comes free soon by itself."""
    desks = making.books.desks
    drained_for = making.drained_for()
    crowded = desks.crowded(desks.open)
    if not crowded:
        return
    for priority in making.books.backlog.priorities():
        for group in making.sample(priority):
            lane = making.lane(group, priority)
            if lane is None or lane.oldest is None or group in drained_for or desks.holders.get(group):
                continue
            if lane.eligible(making.books.shares, 1) == 0:
                continue
            waited = lane.size * max(0.0, making.now - lane.oldest.enqueued_at)
            waited *= making.books.policy.worth(group)
            found = _least_useful(making, group, waited, crowded)
            if found is not None:
                drained_for.add(group)
                making.drain(found[0], found[1], group)


def _least_useful(
    making: Making, group: str, waited: float, crowded: Sequence[str]
) -> tuple[Desk, str] | None:
    """Of those that lose fewer seconds of waiting jobs; the fewest jobs, running and to come, first."""
    desks, policy, now = making.books.desks, making.books.policy, making.now
    best: tuple[float, float, int, str, str] | None = None
    base = policy.base_of.get(group)

    def passes(desk: Desk) -> bool:
        return desk.drain is None and desk.lacks_room(group) and desk.fits(group, base)

    for desk in desks.choices(crowded, group, passes):
        seconds = making.books.loads.host_seconds(desk)
        for adapter, jobs in desk.drainable(group):
            found = desk.resident.get(adapter)
            if found is None or found.pinned or now - found.loaded_at < policy.turn_seconds:
                continue
            worth = _worth(making, adapter)
            sole = len(desks.holders.get(adapter, ())) <= 1
            lost = worth * (policy.service_seconds if sole else OTHERS_SECONDS)
            if lost >= waited:
                continue
            rank = (jobs + lost, seconds, -weight(group, desk.name), desk.name, adapter)
            if best is None or rank < best:
                best = rank
    return None if best is None else (desks.by_name[best[3]], best[4])


def _worth(making: Making, adapter: str) -> float:
    """Jobs that each holder will have for it; those of tenants past their share count less, and those of an
    adapter with a priority by its worth."""
    books = making.books
    coming = books.demand.rate(adapter, making.now) * books.policy.service_seconds
    pending = books.backlog.pending(adapter)
    worth = (
        books.policy.worth(adapter) * (pending + coming) / (len(books.desks.holders.get(adapter, ())) or 1)
    )
    if pending == 0:
        return worth
    lanes = books.backlog.groups[adapter].values()
    eligible = sum(lane.eligible(books.shares, lane.size) for lane in lanes)
    return worth * max(PAST_SHARE, eligible / pending)


def prefetch(making: Making) -> None:
    """Bring what waits, and nobody has, one tier closer; each at its stable home."""
    desks = making.books.desks
    if not desks.names:
        return
    left = 2 * len(desks)
    for priority in making.books.backlog.priorities():
        for group in making.sample(priority):
            if left == 0:
                return
            if desks.holders.get(group) or desks.hosts.get(group):
                continue
            base = making.books.policy.base_of.get(group)
            home = _home(desks, group, base)
            if home is not None:
                making.fetch(home, group)
                left -= 1


def _home(desks: Desks, group: str, base: str | None) -> Desk | None:
    able = desks.choices(desks.names, group, lambda desk: desk.fits(group, base))
    return max(able, key=lambda desk: (weight(group, desk.name), desk.name), default=None)
