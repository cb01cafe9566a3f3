"""Work that needs no load."""

from __future__ import annotations

import heapq
from collections.abc import Collection

from lorayard_dispatcher.planning.backlog import Lane
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase, WaitingJob


def serve_warm(making: Making, priority: int, near: Collection[str]) -> None:
    """Jobs of a lane to workers that hold what they ask for, the oldest first."""
    heads: list[tuple[tuple[float, ...], str, str, Lane]] = []
    desks = making.books.desks
    turn = making.warm_turn if making.books.policy.worth_of else making.turn
    for group in near:
        if group not in desks.open_holders and group != BASE_GROUP:
            continue  # nor will it be: what is given away closes workers, and opens none
        lane = making.lane(group, priority)
        if lane is not None and lane.oldest is not None:
            heads.append((turn(group, lane.oldest.enqueued_at), lane.oldest.key, group, lane))
    heapq.heapify(heads)
    while heads and desks.open:
        _, _, group, lane = heads[0]
        oldest = _give_first(making, group, lane)
        if oldest is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (turn(group, oldest.enqueued_at), oldest.key, group, lane))


def _give_first(making: Making, group: str, lane: Lane) -> WaitingJob | None:
    """The first job of a group to a worker that holds its adapter; the oldest that another one may take."""
    desks = making.books.desks
    if group not in desks.open_holders and group != BASE_GROUP:
        return None  # one before it has taken the last room
    job = making.first_of(lane, group)
    if job is None:
        return None
    desk = desks.holder(group, job.key, queue=making.queue, home=job.home)
    if desk is None:
        return None
    if job.home is None or not making.stays(job, desk):
        making.give(job, desk, Phase.WARM if job.home != desk.name else Phase.SESSION)
    return lane.oldest if group in desks.open_holders or group == BASE_GROUP else None
