"""Rows that nobody within his share can use now: fairness never leaves one idle."""

from __future__ import annotations

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.loads import Load
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.phases.homes import serve_homes
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase


def conserve(making: Making) -> None:
    """Give tenants past their share what is warm, the oldest first, and what nobody holds where slots idle:
    the least served tenant may wait for what no worker can serve."""
    books = making.books
    serve_homes(making, None, spare=True)
    for priority, _, group in sorted(_held_back(making)):
        while (lane := making.lane(group, priority)) is not None and (job := lane.oldest) is not None:
            desk = books.desks.holder(group, job.key, queue=False, spare=True, home=job.home)
            load: Load | None = None
            if desk is None and (found := _idle(making, group, job.key)) is not None:
                desk, load = found
                making.load(desk, group, load)
            if desk is None:
                break
            if load is None and making.stays(job, desk):
                continue
            making.give(job, desk, Phase.CONSERVE, load)


def _idle(making: Making, group: str, key: str) -> tuple[Desk, Load] | None:
    """A worker that may load what nobody holds, in a slot that nobody waits for."""
    books, now = making.books, making.now
    if group == BASE_GROUP or not making.whole or books.desks.holders.get(group):
        return None
    for desk in books.desks.strangers(group, key):
        if (
            desk.drain is None
            and desk.free_rows > desk.kept
            and books.loads.staged(desk, group, now, early=True)
        ):
            load = books.loads.load(desk, group, now)
            if load is not None and books.backlog.groups.keys().isdisjoint(load.evicts):
                return desk, load
    return None


def _held_back(making: Making) -> list[tuple[int, float, str]]:
    found: list[tuple[int, float, str]] = []
    desks = making.books.desks
    for group in making.held_back:
        if group in desks.holders and group not in desks.open_holders:
            continue
        for priority, lane in making.books.backlog.groups.get(group, {}).items():
            if lane.oldest is not None:
                found.append((priority, lane.oldest.enqueued_at, group))
    return found
