"""Copies in host memory before anybody waits for them, where a disk is idle and memory free."""

from __future__ import annotations

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.making import Making
from lorayard_shared.rendezvous import weight

SPARE = 2
"""Adapters of room that are left to what jobs wait for: nothing makes way for a guess."""


def prewarm(making: Making) -> None:
    """One read at a time for each worker, and none where a job waits for one; each copy at a stable home."""
    books = making.books
    prewarming = books.prewarming
    policy = books.policy
    for group in prewarming.next(books.demand, policy.prewarm_copies, making.now, policy.worth_of):
        able = _able(making, group) if _copies(making, group) < prewarming.copies else []
        idle = [desk for desk in able if desk.reader_is_idle(making.now, books.policy.fetch_seconds)]
        if able and not idle:
            return  # its turn comes when a reader has ended
        prewarming.done(group)
        if idle:
            making.fetch(max(idle, key=lambda desk: (weight(group, desk.name), desk.name)), group)


def _copies(making: Making, group: str) -> int:
    desks = making.books.desks
    return len({*desks.hosts.get(group, ()), *desks.holders.get(group, ())})


def _able(making: Making, group: str) -> list[Desk]:
    desks = making.books.desks
    base = making.books.policy.base_of.get(group)

    def passes(desk: Desk) -> bool:
        return (
            desk.view.host_room > SPARE
            and desk.view.dedicated is None
            and group not in desk.resident
            and group not in desk.host
            and group not in desk.fetching
            and desk.fits(group, base)
        )

    return list(desks.choices(desks.names, group, passes))
