"""Rows that nobody within his share can use now: fairness never leaves one idle for work that is warm."""

from __future__ import annotations

from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase

KEPT = 1
"""Room that stays on each worker for a tenant within its share that comes next."""


def conserve(making: Making) -> None:
    """Give tenants past their share what is warm, the oldest first."""
    books = making.books
    for priority, _, group in sorted(_held_back(making)):
        while (lane := making.lane(group, priority)) is not None and lane.oldest is not None:
            desk = books.desks.holder(group, lane.oldest.key, queue=False, spare=KEPT)
            if desk is None:
                break
            making.give(lane.oldest, desk, Phase.CONSERVE)


def _held_back(making: Making) -> list[tuple[int, float, str]]:
    found: list[tuple[int, float, str]] = []
    open_holders = making.books.desks.open_holders
    for group in making.held_back:
        if group != BASE_GROUP and group not in open_holders:
            continue
        for priority, lane in making.books.backlog.groups.get(group, {}).items():
            if lane.oldest is not None:
                found.append((priority, lane.oldest.enqueued_at, group))
    return found
