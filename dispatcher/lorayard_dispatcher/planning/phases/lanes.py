"""Lane by lane: warm work, the oldest first; then loads, where they release the most work.

Warm bulk work must not keep an urgent job of a cold adapter waiting for its bound.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.desks import CHOICES
from lorayard_dispatcher.planning.loads import MOST_READS, MOST_SCALE, Load, Quote
from lorayard_dispatcher.planning.making import Making
from lorayard_dispatcher.planning.phases.homes import kept_lanes, serve_homes
from lorayard_dispatcher.planning.phases.warm import serve_warm
from lorayard_dispatcher.planning.values import BASE_GROUP, Phase
from lorayard_shared.rendezvous import weight

NEWS_CHOICES = 4
"""Workers looked at for a load between two whole looks, of a fleet too large to see all."""

SMALL = 4 * CHOICES
"""Workers up to which, of equal offers, that of a group's home is the best. In a larger fleet the few workers
that are looked at for a group are rarely the same ones twice, and a hash for each would be in vain."""

MOST_JOBS = 64
"""A batch is no larger."""

MOST_ASKED = 128
"""Workers with free rows that are asked for how many they are: of more, most are idle, and little waits."""

LEAST_SECONDS = 1e-3
"""No load is cheaper: below this the index would say nothing of the work released."""


def serve_lanes(making: Making, near: Collection[str]) -> None:
    """Every lane in which something waits, while anybody has room."""
    for priority in sorted({*making.books.backlog.priorities(), *kept_lanes(making)}):
        if not making.books.desks.open:
            return
        serve_homes(making, priority)
        serve_warm(making, priority, near)
        if making.books.desks.open:
            sample = making.sample(priority)
            if making.books.desks.free:
                _Loading(making, priority).serve(sample)


class _Wanted(NamedTuple):
    """A group of which jobs could be loaded somewhere."""

    jobs: int  # within their tenants' shares, up to a batch, or to what any worker has rows for
    urgency: float  # by the age of the oldest, and its adapter's worth: what one of them counts
    held: int
    more: bool  # whether demand asks for more holders
    wait_rows: float  # seconds until its holders have served it, times rows of one worker


_INDEX = itemgetter(0)

_Front = tuple[float, float, str, str]
"""The index and the stability of an offer, each negated, its group and worker: the least is the best. Without
a worker it is a group whose offers are not made yet: none of them is better than this."""

_Quotes = dict[str, dict[int, tuple[int, Quote] | None]]
"""By worker and columns: its free rows, and what a load costs."""


def _most_rows(making: Making) -> int:
    """Jobs past which no load releases more; it only gets less while loads are given out."""
    by_name, free = making.books.desks.by_name, making.books.desks.free
    if len(free) > MOST_ASKED:
        return MOST_JOBS
    return min(MOST_JOBS, max((by_name[name].free_rows for name in free), default=0)) or MOST_JOBS


class _Loading:
    """The loads of one lane."""

    def __init__(self, making: Making, priority: int) -> None:
        self._making = making
        self._priority = priority
        self._is_small = len(making.books.desks) <= SMALL
        self._most_jobs = _most_rows(making)
        self._wanted: dict[str, _Wanted | None] = {}
        self._quotes: _Quotes = {}
        self._first: _Quotes = {}
        """Those of the start, for the offers that are not made yet."""
        self._offers: dict[str, list[tuple[float, str]]] = {}
        """By group: its index, negated, and the worker, the best first; without the one at the front."""
        self._unseen: dict[str, tuple[_Wanted, list[Desk]]] = {}
        """Groups whose offers are not made yet, and the workers that they are to."""
        self._left: set[tuple[str, str]] = set()
        """Adapters that loads have taken out of workers, and those: they were there at the start."""
        self._served: set[str] = set()
        """Groups that were looked after: their other offers are not what they were."""
        self._filled: set[str] = set()
        """Workers that were given something: offers there are not what they were."""
        self._front: list[_Front] = []
        """A heap of the best offer of each group."""

    def serve(self, sample: Sequence[str]) -> None:
        """The best offer first, each looked at again in its turn: earlier ones have changed things.

        `sample` are the groups that are worth a look wherever a worker has changed.
        """
        by_name, free = self._making.books.desks.by_name, self._making.books.desks.free
        pairs = list(self._pairs(sample))
        # Where more groups wait than can be loaded, most need no look: rows run out before their turn.
        if len(pairs) <= len(free) or not self._put_off_offers(pairs):
            for group, wanted, desks in pairs:
                self._make_offers(group, wanted, desks, self._quotes)
        while self._front and free:  # without a free row no offer stands
            before, _, group, name = heapq.heappop(self._front)
            if not name:
                self._make_late(group)
                continue
            still = self._group(group)
            if still is None:
                continue  # and with it all its other offers
            desk = by_name[name]
            index = self._again(group, still, desk, before) if desk.is_free else 0.0
            if index <= before + 1e-12:
                self._load(group, desk, spill=still.held > 0)
                if group in self._making.put_off:
                    self._wanted[group] = None
                    continue  # as are its other offers
                self._wanted.pop(group)
                self._served.add(group)
            elif index < 0.0:
                insort(self._offers[group], (index, name), key=_INDEX)
            self._bring_forward(group)

    def _make_offers(self, group: str, wanted: _Wanted, desks: Sequence[Desk], quotes: _Quotes) -> None:
        offers = self._offers_of(group, wanted, desks, quotes)
        if offers:
            offers.sort(key=_INDEX)
            self._offers[group] = offers
            self._bring_forward(group)

    def _put_off_offers(self, pairs: Sequence[tuple[str, _Wanted, list[Desk]]]) -> bool:
        """Groups to the front by what their best offer could be at most; False: it is not as easily told."""
        if self._making.books.policy.parts_of:
            return False
        asked = set(chain.from_iterable(desks for _, _, desks in pairs))
        self._ask_all(pairs, asked)
        quotes = chain.from_iterable(of_desk.values() for of_desk in self._quotes.values())
        found = [known for known in quotes if known is not None]
        if not found:
            return True  # nothing may leave anywhere
        self._first = dict(self._quotes)
        self._bound(pairs, asked, found)
        return True

    def _ask_all(self, pairs: Sequence[tuple[str, _Wanted, list[Desk]]], asked: Collection[Desk]) -> None:
        """What any of the offers needs to know, while it is as it was at the start."""
        for desk in asked:
            if not desk.view.columns:
                self._ask(desk, 0)
        if not any(desk.view.columns for desk in asked):
            return
        for group, _, desks in pairs:
            for desk in desks:
                columns = desk.columns(group)
                if columns not in self._quotes.get(desk.name, ()):
                    self._ask(desk, columns)

    def _bound(
        self,
        pairs: Sequence[tuple[str, _Wanted, list[Desk]]],
        asked: Collection[Desk],
        found: Sequence[tuple[int, Quote]],
    ) -> None:
        """What no offer of a group can be better than, by the least that any of the workers asked for."""
        hosts, sizes = self._making.books.desks.hosts, self._making.books.policy.bytes_of
        least_rows, most_rows = min(rows for rows, _ in found), max(rows for rows, _ in found)
        roomy = {desk for desk in asked if desk.free_rows > least_rows}
        lost = min(quote.lost_seconds for _, quote in found)
        host = min(quote.host_seconds for _, quote in found)
        disk = min(quote.disk_seconds for _, quote in found)
        mean = max(desk.mean_bytes(sizes) for desk in asked) if sizes else 0.0
        # Of equal ones a small fleet takes the stable home first, which nobody knows before the offers.
        tie = -math.inf if self._is_small else 0.0
        for group, wanted, desks in pairs:
            size = sizes.get(group, 0) if mean else 0
            scale = max(1 / MOST_SCALE, min(1.0, size / mean)) if size else 1.0
            seconds = scale * host + lost
            if group not in hosts or not any(group in desk.host or group in desk.fetching for desk in desks):
                seconds += scale * disk
            rows = least_rows if roomy.isdisjoint(desks) else most_rows
            released = (rows if rows < wanted.jobs else wanted.jobs) * wanted.urgency
            self._unseen[group] = (wanted, desks)
            self._front.append((-released / max(seconds, LEAST_SECONDS), tie, group, ""))
        heapq.heapify(self._front)

    def _make_late(self, group: str) -> None:
        """The offers of a group as they were at the start, less those to workers that are filled by now."""
        found = self._unseen.pop(group, None)
        if found is None:
            return
        wanted, desks = found
        if self._left:
            desks = [desk for desk in desks if (group, desk.name) not in self._left]
        self._make_offers(group, wanted, desks, self._first)

    def _make_all(self) -> None:
        """Before a change that offers of the start could not be told from any more."""
        for group in tuple(self._unseen):
            self._make_late(group)

    def _pairs(self, sample: Sequence[str]) -> Iterator[tuple[str, _Wanted, list[Desk]]]:
        """Groups, and the workers that might load them: those that have changed for the sample, a few for
        groups that jobs have come for."""
        making = self._making
        desks = making.books.desks
        changed = [desk for desk in making.changed if desk.is_free]
        sampled = frozenset(sample) if changed else frozenset[str]()
        most = CHOICES if making.whole or len(desks) <= CHOICES else NEWS_CHOICES
        news = dict.fromkeys(sample if making.whole else making.arrived)
        for group in news:
            if group != BASE_GROUP and (wanted := self._group(group)) is not None:
                found = desks.strangers(group, group, free=True, most=most)
                if group in sampled:
                    names = {desk.name for desk in found}
                    found += [desk for desk in self._fitting(group, changed) if desk.name not in names]
                yield group, wanted, found
        for group in sample if changed else ():
            if group not in news and (wanted := self._group(group)) is not None:
                yield group, wanted, self._fitting(group, changed)

    def _fitting(self, group: str, desks: Sequence[Desk]) -> list[Desk]:
        """Those of some workers that could serve a group."""
        policy = self._making.books.policy
        base = policy.base_of.get(group)
        is_easy = base is None and not policy.parts_of
        return [desk for desk in desks if (is_easy and desk.is_even) or desk.fits(group, base)]

    def _bring_forward(self, group: str) -> None:
        """The best of a group's other offers to the front; of several the stable home."""
        offers = self._offers[group]
        if self._filled:  # most offers are to workers that another group has filled
            self._drop_filled(offers)
        if not offers:
            return
        best, tie = 0, 0
        index, name = offers[0]
        if self._is_small:
            tie = -weight(group, name)
            for at, (other, home) in enumerate(offers):
                if other != index:
                    break
                if (found := -weight(group, home)) < tie:
                    best, tie = at, found
        heapq.heappush(self._front, (index, tie, group, offers.pop(best)[1]))

    def _drop_filled(self, offers: list[tuple[float, str]]) -> None:
        """Offers that stand no more, up to the first that is asked for: in a large fleet the best alone."""
        by_name = self._making.books.desks.by_name
        if self._is_small:
            offers[:] = [offer for offer in offers if by_name[offer[1]].is_free]
            return
        for at, (_, name) in enumerate(offers):
            if by_name[name].is_free:
                del offers[:at]
                return
        offers.clear()

    def _group(self, group: str) -> _Wanted | None:
        if group not in self._wanted:
            self._wanted[group] = self._look(group)
        return self._wanted[group]

    def _look(self, group: str) -> _Wanted | None:
        making, books = self._making, self._making.books
        if group in making.put_off or (lane := making.lane(group, self._priority)) is None:
            return None
        if (oldest := lane.oldest) is None:
            return None
        jobs = lane.eligible(books.shares, self._most_jobs)
        if jobs == 0:
            making.held_back.add(group)
            return None
        policy, now = books.policy, making.now
        urgency = 1.0 + (now - oldest.enqueued_at if now > oldest.enqueued_at else 0.0)
        if policy.worth_of:
            urgency *= policy.worth(group)
        holders = books.desks.holders.get(group)
        if not holders:
            return _Wanted(jobs, urgency, 0, False, 0.0)
        held = len(holders)
        return _Wanted(
            jobs=jobs,
            urgency=urgency,
            held=held,
            more=held < books.loads.replicas(group, now),
            wait_rows=books.backlog.pending(group) * policy.service_seconds / held,
        )

    def _offers_of(
        self, group: str, wanted: _Wanted, desks: Sequence[Desk], quotes: _Quotes
    ) -> list[tuple[float, str]]:
        """By worker what a load there would release for what it disturbs, negated; only where it may be, and
        pays: one more holder pays where demand asks for it, or waiting takes longer than the load."""
        found: list[tuple[float, str]] = []
        jobs, urgency, held, more, wait_rows = wanted
        books = self._making.books
        policy, loads, now = books.policy, books.loads, self._making.now
        spill, sized = policy.spill, group in policy.bytes_of
        is_sum = bool(policy.parts_of and policy.sum_of(group))
        for desk in desks:
            if not desk.is_free or group in desk.resident or group in desk.sums:
                continue
            if desk.drain is not None and desk.drain[1] != group:
                continue  # the slot that comes free there is spoken for
            if len(desk.fetching) >= MOST_READS and not loads.may_come(desk, group, now):
                continue
            if is_sum:  # which parts it lacks is each worker's own matter
                load = loads.load(desk, group, now)
                if load is None:
                    continue
                free, seconds = desk.free_rows, load.cost_seconds
            else:
                columns = desk.columns(group) if desk.view.columns else 0
                if (of_desk := quotes.get(desk.name)) is None or columns not in of_desk:
                    of_desk = self._ask(desk, columns)
                known = of_desk[columns]
                if known is None:
                    continue
                free, quote = known
                seconds = quote.seconds(desk, group, loads.scale(desk, group) if sized else 1.0)
            if not held or more or wait_rows / desk.rows > spill * seconds:
                released = (free if free < jobs else jobs) * urgency
                found.append((-released / (seconds if seconds > LEAST_SECONDS else LEAST_SECONDS), desk.name))
        return found

    def _again(self, group: str, wanted: _Wanted, desk: Desk, before: float) -> float:
        """The index of an offer now, negated; 0 if it stands no more."""
        known = self._quotes.get(desk.name, {}).get(desk.columns(group))
        touched = desk.name in self._filled or group in self._served
        if known is not None and not known[1].evicts and not touched:
            return before  # nothing was given to either, and what a free slot costs is nobody else's doing
        self._quotes.pop(desk.name, None)
        offers = self._offers_of(group, wanted, (desk,), self._quotes)
        return offers[0][0] if offers else 0.0

    def _ask(self, desk: Desk, columns: int) -> dict[int, tuple[int, Quote] | None]:
        """What a load of so many columns costs a worker, beside what was asked of it before."""
        quotes = self._quotes.setdefault(desk.name, {})
        quote = self._making.books.loads.quote(desk, columns, self._making.now)
        quotes[columns] = None if quote is None else (desk.free_rows, quote)
        return quotes

    def _priced(self, group: str, desk: Desk) -> Load:
        """The load of an offer that has just been looked at again: what was asked for it still stands."""
        books = self._making.books
        if books.policy.sum_of(group):
            load = books.loads.load(desk, group, self._making.now)
            assert load is not None, "it has just been asked what it costs"
            return load
        known = self._quotes[desk.name][desk.columns(group)]
        assert known is not None, "there was an offer"
        return books.loads.quoted(desk, group, known[1])

    def _load(self, group: str, desk: Desk, *, spill: bool) -> None:
        making, priority = self._making, self._priority
        if making.next(group, priority) is None:
            return  # loads before this one have put its tenants past their share
        if self._unseen and len(desk.fetching) >= MOST_READS - 1:
            self._make_all()  # whether it takes more reads was asked as it was at the start
        if not making.books.loads.staged(desk, group, making.now, early=True):
            making.fetch(desk, group)
            making.put_off.add(group)
            return
        load = self._priced(group, desk)
        making.load(desk, group, load)
        self._filled.add(desk.name)
        if self._unseen and load.evicts:
            self._left.update([(digest, desk.name) for digest in load.evicts])
        first: Load | None = load
        phase = Phase.SPILL if spill else Phase.LOAD
        lanes = making.books.backlog.groups[group]
        for lane in sorted(lane for lane in lanes if lane <= priority):  # a load did not pay for those before
            while desk.free_rows > 0 and (job := making.next(group, lane)) is not None:
                if first is None and making.stays(job, desk):
                    continue
                making.give(job, desk, phase, first)
                first = None
