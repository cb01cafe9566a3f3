"""A drained slot that has come free goes to the group that is late first, whichever it was drained for.

When a drain ends is up to its longest row, and that is luck: without this a group may wait behind one row
while slots come free for others that came after it.
"""

from __future__ import annotations

import math

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.making import Making


def exchange_drains(making: Making) -> None:
    """Swap what drains are for, so that those that are over are for the groups that are late first."""
    desks = making.books.desks
    if len(desks.draining) < 2:
        return
    draining = [desks.by_name[name] for name in sorted(desks.draining)]
    late_at = {group: _late_at(making, group) for group in making.drained_for()}
    in_turn: list[Desk] = []
    for desk in draining:
        if desk.room > 0 and _drain(desk)[0] not in desk.jobs:
            in_turn = in_turn or sorted(draining, key=lambda other: late_at[_drain(other)[1]])
            first = next(other for other in in_turn if other is desk or _may_swap(making, desk, other))
            if first is not desk:
                _swap(making, desk, first)
                in_turn = []  # what two of them drain for is another


def _swap(making: Making, desk: Desk, other: Desk) -> None:
    (ours, group), (theirs, other_group) = _drain(desk), _drain(other)
    desk.drain, other.drain = (ours, other_group), (theirs, group)
    for one in (desk, other):
        if one.emptied:  # for a group that gets its slot elsewhere now
            one.emptied = set()
            if one.room > 0:
                making.books.desks.changed.add(one.name)


def _drain(desk: Desk) -> tuple[str, str]:
    assert desk.drain is not None, "it is in the set of those that drain"
    return desk.drain


def _may_swap(making: Making, desk: Desk, other: Desk) -> bool:
    base_of = making.books.policy.base_of
    ours, theirs = _drain(desk)[1], _drain(other)[1]
    return desk.fits(theirs, base_of.get(theirs)) and other.fits(ours, base_of.get(ours))


def _late_at(making: Making, group: str) -> tuple[float, str]:
    lanes = making.books.backlog.groups.get(group, {})
    late = (
        making.books.policy.late_at(lane.oldest.enqueued_at, priority)
        for priority, lane in lanes.items()
        if lane.oldest is not None
    )
    return (min(late, default=math.inf), group)
