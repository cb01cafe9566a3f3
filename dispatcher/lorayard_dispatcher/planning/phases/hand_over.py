"""A slot that was drained for an adapter has come free: load it, and give its jobs."""

from __future__ import annotations

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.loads import Load
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.values import Phase


def hand_over_drained(making: Making) -> None:
    """For every worker that drains. Strictly from host memory: while a disk is read, warm work would take the
    slot again."""
    desks = making.books.desks
    for name in sorted(desks.draining):
        desk = desks.by_name[name]
        assert desk.drain is not None, "it is in the set of those that drain"
        old, new = desk.drain
        base = making.books.policy.base_of.get(new)
        found = desk.resident.get(old)
        in_vain = (found is not None and found.pinned) or not desk.fits(new, base)
        if in_vain or new not in making.books.backlog.groups or desks.holders.get(new):
            desks.undrain(desk)
        elif old not in desk.jobs and desk.room > 0:
            _give_slot(making, desk, old, new)


def _give_slot(making: Making, desk: Desk, old: str, new: str) -> None:
    loads = making.books.loads
    if not loads.staged(desk, new, making.now, early=False):
        making.fetch(desk, new)
        return
    leaves = old in desk.resident and not desk.resident[old].pinned
    load = loads.load(desk, new, making.now, forced=True, first=old if leaves else None)
    if load is None:
        _drain_more(making, desk, old, new)
        return
    making.books.desks.undrain(desk)
    lanes = making.books.backlog.groups[new].values()
    if not any(lane.eligible(making.books.shares, 1) for lane in lanes):
        return
    making.load(desk, new, load)
    first: Load | None = load
    for priority in sorted(making.books.backlog.groups[new]):
        while desk.room > 0 and (job := making.next(new, priority)) is not None:
            making.give(job, desk, Phase.HAND_OVER, first)
            first = None


def _drain_more(making: Making, desk: Desk, old: str, new: str) -> None:
    """Others have taken every slot meanwhile; or it takes more columns than one adapter leaves: then the next
    one is drained, and those before stay empty."""
    busy = sorted((jobs, digest) for digest, jobs in desk.drainable(new) if not desk.resident[digest].pinned)
    desks = making.books.desks
    if (desk.free_slots <= 0 and desk.slots_in_use >= desk.view.slots) or not busy:
        desks.undrain(desk)
        return
    desk.emptied.add(old)
    making.drain(desk, busy[0][1], new)
