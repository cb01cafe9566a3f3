"""Lane by lane: warm work, the oldest first; then loads, where they release the most work.

Warm bulk work must not keep an urgent job of a cold adapter waiting for its bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lorayard_dispatcher.planning.desks import CHOICES, Desk
from lorayard_dispatcher.planning.loads import Load, Quote
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.phases.homes import kept_lanes, serve_homes
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase
from lorayard_shared.rendezvous import weight

NEWS_CHOICES = 4
"""Workers looked at for a load between two whole looks, of a fleet too large to see all."""

MOST_JOBS = 64
"""A batch is no larger."""

LEAST_SECONDS = 1e-3
"""No load is cheaper: below this the index would say nothing of the work released."""


def serve_lanes(making: Making, near: Collection[str]) -> None:
    """Every lane in which something waits, while anybody has room."""
    for priority in sorted({*making.books.backlog.priorities(), *kept_lanes(making)}):
        if not making.books.desks.open:
            return
        serve_homes(making, priority)
        _serve_warm(making, priority, near)
        if making.books.desks.open:
            sample = making.sample(priority)
            if making.books.desks.free:
                _Loading(making, priority).serve(sample)


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
        desk = desks.holder(group, job.key, queue=making.queue, home=job.home)
        if desk is None:
            continue
        if not making.stays(job, desk):
            making.give(job, desk, Phase.WARM if job.home != desk.name else Phase.SESSION)
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


_Front = tuple[float, int, str, str]
"""The index and the stability of an offer, each negated, its group and worker: the least is the best."""


class _Loading:
    """The loads of one lane."""

    def __init__(self, making: Making, priority: int) -> None:
        self._making = making
        self._priority = priority
        self._wanted: dict[str, _Wanted | None] = {}
        self._quotes: dict[str, tuple[int, Quote] | None] = {}
        """By worker, while nothing is given away: its free rows, and what a load costs."""
        self._offers: dict[str, list[tuple[float, str]]] = {}
        """By group: its index, negated, and the worker; without the best, which is at the front."""
        self._front: list[_Front] = []
        """A heap of the best offer of each group."""

    def serve(self, sample: Sequence[str]) -> None:
        """The best offer first, each looked at again in its turn: earlier ones have changed things.

        `sample` are the groups that are worth a look wherever a worker has changed.
        """
        for group, wanted, desks in self._pairs(sample):
            found = [(-index, desk.name) for desk in desks if (index := self._index(group, wanted, desk))]
            self._offers[group] = found
            self._bring_forward(group)
        by_name = self._making.books.desks.by_name
        while self._front:
            before, _, group, name = heapq.heappop(self._front)
            still = self._group(group)
            if still is None:
                continue  # and with it all its other offers
            self._quotes.pop(name, None)
            index = self._index(group, still, by_name[name])
            if index and -index <= before + 1e-12:
                self._load(group, by_name[name], spill=still.held > 0)
                self._wanted.pop(group)
            elif index:
                self._offers[group].append((-index, name))
            self._bring_forward(group)

    def _pairs(self, sample: Sequence[str]) -> Iterator[tuple[str, _Wanted, list[Desk]]]:
        """Groups, and the workers that might load them: those that have changed for the sample, a few for
        groups that jobs have come for."""
        making = self._making
        desks, base_of = making.books.desks, making.books.policy.base_of
        changed = [desk for desk in making.changed if desk.is_free]
        sampled = frozenset(sample) if changed else frozenset[str]()
        most = CHOICES if making.whole else NEWS_CHOICES
        news = dict.fromkeys(sample if making.whole else making.arrived)
        for group in news:
            if group != BASE_GROUP and (wanted := self._group(group)) is not None:
                found = desks.strangers(group, group, free=True, most=most)
                if group in sampled:
                    base, names = base_of.get(group), {desk.name for desk in found}
                    found += [desk for desk in changed if desk.name not in names and desk.fits(group, base)]
                yield group, wanted, found
        for group in sample if changed else ():
            if group not in news and (wanted := self._group(group)) is not None:
                base = base_of.get(group)
                yield group, wanted, [desk for desk in changed if desk.fits(group, base)]

    def _bring_forward(self, group: str) -> None:
        """The best of a group's other offers to the front; of several the stable home."""
        offers = self._offers[group]
        if not offers:
            return
        least = min(offers)[0]
        tie, name = min((-weight(group, name), name) for index, name in offers if index == least)
        offers.remove((least, name))
        heapq.heappush(self._front, (least, tie, group, name))

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

    def _index(self, group: str, wanted: _Wanted, desk: Desk) -> float | None:
        """What a load there would release for what it disturbs; None: it may not be, or does not pay."""
        if not desk.is_free or group in desk.resident:
            return None
        if desk.drain is not None and desk.drain[1] != group:
            return None  # the slot that comes free there is spoken for
        if desk.name not in self._quotes:
            quote = self._making.books.loads.quote(desk, self._making.now)
            self._quotes[desk.name] = None if quote is None else (desk.free_rows, quote)
        found = self._quotes[desk.name]
        if found is None:
            return None
        free, quote = found
        seconds = quote.seconds(desk, group)
        if wanted.held and not self._spills(wanted, desk, seconds):
            return None
        return min(wanted.jobs, free) * (1.0 + wanted.age_seconds) / max(LEAST_SECONDS, seconds)

    def _spills(self, wanted: _Wanted, desk: Desk, seconds: float) -> bool:
        """Whether one more holder pays: waiting takes longer than the load, or demand asks."""
        if wanted.held < wanted.replicas:
            return True
        return wanted.wait_rows / desk.rows > self._making.books.policy.spill * seconds

    def _load(self, group: str, desk: Desk, *, spill: bool) -> None:
        making, priority = self._making, self._priority
        if making.next(group, priority) is None:
            return  # loads before this one have put its tenants past their share
        if not making.books.loads.staged(desk, group, making.now, early=True):
            making.fetch(desk, group)
            making.put_off.add(group)
            return
        load = making.books.loads.load(desk, group, making.now)
        assert load is not None, "it has just been asked what it costs"
        making.load(desk, group, load)
        first: Load | None = load
        phase = Phase.SPILL if spill else Phase.LOAD
        while desk.free_rows > 0 and (job := making.next(group, priority)) is not None:
            if first is None and making.stays(job, desk):
                continue
            making.give(job, desk, phase, first)
            first = None
