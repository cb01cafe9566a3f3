"""Lane by lane: warm work, the oldest first; then loads, where they release the most work.

Warm bulk work must not keep an urgent job of a cold adapter waiting for its bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lorayard_dispatcher.planning.desks import Desk
from lorayard_dispatcher.planning.loads import Load
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase
from lorayard_shared.rendezvous import weight

MOST_JOBS = 64
"""A batch is no larger."""

LEAST_SECONDS = 1e-3
"""No load is cheaper: below this the index would say nothing of the work released."""


def serve_lanes(making: Making, near: Collection[str]) -> None:
    """Every lane in which something waits, while anybody has room."""
    for priority in making.books.backlog.priorities():
        if not making.books.desks.open:
            return
        _serve_warm(making, priority, near)
        if making.books.desks.open:
            _Loading(making, priority).serve()


def _serve_warm(making: Making, priority: int, near: Collection[str]) -> None:
    heads: list[tuple[float, str, str]] = []
    for group in near:
        lane = making.lane(group, priority)
        if lane is not None and lane.oldest is not None:
            heads.append((lane.oldest.enqueued_at, lane.oldest.key, group))
    heapq.heapify(heads)
    desks = making.books.desks
    while heads and desks.open:
        group = heapq.heappop(heads)[2]
        if group != BASE_GROUP and group not in desks.open_holders:
            continue
        job = making.next(group, priority)
        if job is None:
            continue
        desk = desks.holder(group, job.key, queue=making.queue)
        if desk is None:
            continue
        making.give(job, desk, Phase.WARM)
        lane = making.lane(group, priority)
        if lane is not None and lane.oldest is not None:
            heapq.heappush(heads, (lane.oldest.enqueued_at, lane.oldest.key, group))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A group of which jobs could be loaded somewhere."""

    jobs: int  # within their tenants' shares, up to a batch
    age_seconds: float  # of the oldest
    held: int
    replicas: int  # that demand asks for
    wait_rows: float  # seconds until its holders have served it, times rows of one worker


@dataclass(frozen=True, slots=True)
class _Offer:
    """A load that would release work."""

    index: float
    load: Load
    spill: bool


class _Loading:
    """The loads of one lane."""

    def __init__(self, making: Making, priority: int) -> None:
        self._making = making
        self._priority = priority
        self._wanted: dict[str, _Wanted | None] = {}

    def serve(self) -> None:
        """The best offer first, each looked at again in its turn: earlier ones have changed things."""
        offers: list[tuple[float, int, str, str]] = []
        for group, desk in self._pairs():
            offer = self._offer(group, desk)
            if offer is not None:
                offers.append((-offer.index, -weight(group, desk.name), group, desk.name))
        heapq.heapify(offers)
        while offers:
            before, tie, group, name = heapq.heappop(offers)
            desk = self._making.books.desks.by_name[name]
            offer = self._offer(group, desk)
            if offer is None:
                continue
            if -offer.index > before + 1e-12:
                heapq.heappush(offers, (-offer.index, tie, group, name))
                continue
            _load(self._making, self._priority, group, desk, offer)
            self._wanted.pop(group, None)

    def _pairs(self) -> Iterator[tuple[str, Desk]]:
        making = self._making
        desks, base_of = making.books.desks, making.books.policy.base_of
        seen: set[tuple[str, str]] = set()
        sample = making.sample(self._priority)
        for group in sample if making.whole else making.arrived:
            if group != BASE_GROUP and self._group(group) is not None:
                for desk in desks.strangers(group, group):
                    seen.add((group, desk.name))
                    yield (group, desk)
        free = [desk for desk in making.changed if desk.free_rows > 0]
        for group in sample if free else ():
            if self._group(group) is not None:
                for desk in free:
                    if (group, desk.name) not in seen and desk.fits(group, base_of.get(group)):
                        yield (group, desk)

    def _group(self, group: str) -> _Wanted | None:
        if group not in self._wanted:
            self._wanted[group] = self._look(group)
        return self._wanted[group]

    def _look(self, group: str) -> _Wanted | None:
        making, books = self._making, self._making.books
        lane = making.lane(group, self._priority)
        if lane is None or lane.oldest is None or group in making.put_off:
            return None
        jobs = lane.eligible(books.shares, MOST_JOBS)
        if jobs == 0:
            making.held_back.add(group)
            return None
        held = len(books.desks.holders.get(group, ()))
        return _Wanted(
            jobs=jobs,
            age_seconds=max(0.0, making.now - lane.oldest.enqueued_at),
            held=held,
            replicas=books.loads.replicas(group, making.now) if held else 0,
            wait_rows=books.backlog.pending(group) * books.policy.service_seconds / (held or 1),
        )

    def _offer(self, group: str, desk: Desk) -> _Offer | None:
        free = desk.free_rows
        if free <= 0 or group in desk.resident:
            return None
        if desk.drain is not None and desk.drain[1] != group:
            return None  # the slot that comes free there is spoken for
        wanted = self._group(group)
        if wanted is None:
            return None
        load = self._making.books.loads.load(desk, group, self._making.now)
        if load is None:
            return None
        if wanted.held and not self._spills(wanted, desk, load):
            return None
        jobs = min(wanted.jobs, free)
        index = jobs * (1.0 + wanted.age_seconds) / max(LEAST_SECONDS, load.cost_seconds)
        return _Offer(index, load, wanted.held > 0)

    def _spills(self, wanted: _Wanted, desk: Desk, load: Load) -> bool:
        """Whether one more holder pays: waiting takes longer than the load, or demand asks."""
        if wanted.held < wanted.replicas:
            return True
        return wanted.wait_rows / desk.rows > self._making.books.policy.spill * load.cost_seconds


def _load(making: Making, priority: int, group: str, desk: Desk, offer: _Offer) -> None:
    if making.next(group, priority) is None:
        return  # loads before this one have put its tenants past their share
    if not making.books.loads.staged(desk, group, making.now, early=True):
        making.fetch(desk, group)
        making.put_off.add(group)
        return
    making.load(desk, group, offer.load)
    first: Load | None = offer.load
    phase = Phase.SPILL if offer.spill else Phase.LOAD
    while desk.free_rows > 0 and (job := making.next(group, priority)) is not None:
        making.give(job, desk, phase, first)
        first = None
