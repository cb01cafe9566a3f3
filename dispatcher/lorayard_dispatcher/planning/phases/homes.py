"""Turns that were kept back for the worker that has their conversation: a row there has come free, or not."""

from __future__ import annotations

from collections.abc import Iterable

from lorayard_dispatcher.planning.making import Books, Making
from lorayard_dispatcher.planning.values import Phase, WaitingJob


def kept_lanes(making: Making) -> set[int]:
    """Lanes of what is kept back for workers that may take it now."""
    homes = making.books.homes
    return {job.priority for job in homes.of(desk.name for desk in making.changed)} if homes else set()


def serve_homes(making: Making, priority: int | None, *, spare: bool = False) -> None:
    """Give workers with room what was kept back for them; None: of every lane, and also what belongs to
    tenants past their share. `spare`: some room must be left."""
    books = making.books
    if not books.homes:
        return
    for job in books.homes.of(desk.name for desk in making.changed):
        past = not books.shares.allowed(job.tenant)
        if priority is not None and (job.priority != priority or past):
            continue
        home = books.desks.by_name[job.home or ""]
        if not books.desks.keeps(home, job.group):
            making.moved |= move(books, [job])
        elif making.has_room(home, spare=spare):
            making.give(job, home, Phase.SESSION)


def move(books: Books, jobs: Iterable[WaitingJob]) -> set[str]:
    """They wait for their home no longer: any worker will do; returns their groups."""
    groups: set[str] = set()
    for job in jobs:
        if books.homes.take(job.key) is None:
            continue
        books.homes.moved.add(job.key)
        books.backlog.put(job)
        books.shares.waits(job.tenant)
        groups.add(job.group)
    return groups
