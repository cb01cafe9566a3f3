"""What it costs to load an adapter somewhere, in seconds of one worker's time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lorayard_dispatcher.planning.backlog import Backlog
from lorayard_dispatcher.planning.demand import Demand
from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.desks import Desks
from lorayard_dispatcher.planning.leaving import leave_for
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Source

MOST_SCALE = 64.0
"""Times a load as measured: ranks lie between 1 and some hundred, and no size should rule a plan alone."""

IDLE_SECONDS = 60.0
"""By so much longer is an adapter kept that nobody asks for, for each doubling of its worth: the half-life by
which workers value what they hold (their `memory.eviction`), who choose what really leaves."""

MOST_READS = 4
"""Adapters on their way into a worker's host memory past which no lane asks it for more: its disk reads one
after the other, 0.3 s each, and what is asked for later is wanted elsewhere by then."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load that could be."""

    cost_seconds: float
    evicts: tuple[str, ...]
    source: Source


class Quote(NamedTuple):
    """What a load costs a worker now, whichever adapter of so many columns it is."""

    evicts: tuple[str, ...]
    lost_seconds: float  # with what leaves
    host_seconds: float  # of one as large as those measured
    disk_seconds: float

    def seconds(self, desk: Desk, group: str, scale: float) -> float:
        """What it costs to load an adapter there, which is so many times as large."""
        host = scale * self.host_seconds + self.lost_seconds
        if group in desk.host:
            return host
        return host + scale * (0.5 if group in desk.fetching else 1.0) * self.disk_seconds


class Loads:
    """The cost model."""

    def __init__(self, policy: Policy, backlog: Backlog, desks: Desks, demand: Demand) -> None:
        self._policy = policy
        self._backlog = backlog
        self._desks = desks
        self._demand = demand

    def host_seconds(self, desk: Desk) -> float:
        """Host memory to slot, there."""
        measured = desk.view.load_seconds_host
        return self._policy.load_seconds_host if measured is None else measured

    def disk_seconds(self, desk: Desk) -> float:
        """Disk to host memory, there."""
        measured = desk.view.load_seconds_disk
        return self._policy.load_seconds_disk if measured is None else measured

    def load(
        self, desk: Desk, group: str, now: float, *, forced: bool = False, first: str | None = None
    ) -> Load | None:
        """What loading it there costs; None when there is no room: every slot is in use, or too many columns.
        `forced` may take a slot whose adapter was loaded a moment ago; `first` leaves in any case."""
        if parts := self._policy.sum_of(group):
            return self._sum_load(desk, parts, now, forced=forced, first=first)
        quote = self.quote(desk, desk.columns(group), now, forced=forced, first=first)
        return None if quote is None else self.quoted(desk, group, quote)

    def quoted(self, desk: Desk, group: str, quote: Quote) -> Load:
        """The load of an adapter there, which is no sum, by a quote that still stands."""
        source = Source.HOST if group in desk.host else Source.DISK
        return Load(quote.seconds(desk, group, self.scale(desk, group)), quote.evicts, source)

    def _sum_load(
        self, desk: Desk, parts: Sequence[str], now: float, *, forced: bool, first: str | None
    ) -> Load | None:
        """The same of the parts of a sum that it lacks, none of which makes way for another."""
        missing = [part for part in parts if part not in desk.resident]
        found = [other for other in self._candidates(desk, now, forced=forced) if other[2] not in parts]
        columns = desk.taken_columns(missing)
        short = columns - desk.free_columns if desk.view.columns else 0
        chosen = leave_for(desk, sorted(found), len(missing) - desk.free_slots, short, first)
        if chosen is None:
            return None
        each = Quote(
            evicts=(),
            lost_seconds=0.0,
            host_seconds=self.host_seconds(desk) * (1.0 + self._policy.stall * desk.in_flight),
            disk_seconds=self.disk_seconds(desk),
        )
        seconds = sum(each.seconds(desk, part, self.scale(desk, part)) for part in missing)
        source = Source.HOST if desk.host.issuperset(missing) else Source.DISK
        lost = sum(seconds for seconds, _, _ in chosen)
        return Load(seconds + lost, tuple(digest for _, _, digest in chosen), source)

    def scale(self, desk: Desk, group: str) -> float:
        """How large it is beside the adapters that the worker's loads were measured with."""
        size = self._policy.bytes_of.get(group)
        mean = desk.mean_bytes(self._policy.bytes_of) if size else 0.0
        return max(1 / MOST_SCALE, min(MOST_SCALE, size / mean)) if size and mean else 1.0

    def quote(
        self, desk: Desk, columns: int, now: float, *, forced: bool = False, first: str | None = None
    ) -> Quote | None:
        """The same for any adapter of so many columns: what leaves does not depend on what comes."""
        victims = self.victims(desk, columns, now, forced=forced, first=first)
        if victims is None:
            return None
        lost, evicts = victims
        return Quote(
            evicts=evicts,
            lost_seconds=lost,
            host_seconds=self.host_seconds(desk) * (1.0 + self._policy.stall * desk.in_flight),
            disk_seconds=self.disk_seconds(desk),
        )

    def victims(
        self, desk: Desk, columns: int, now: float, *, forced: bool = False, first: str | None = None
    ) -> tuple[float, tuple[str, ...]] | None:
        """What has to leave for an adapter of so many columns, the cheapest first: seconds lost with it, and
        the adapters, `first` in any case; None: what is in use, or pinned, leaves too little room."""
        short = columns - desk.free_columns if desk.view.columns else 0
        if desk.free_slots > 0 and short <= 0 and first is None:
            return (0.0, ())
        if desk.free_slots <= 0 and desk.slots_in_use >= desk.view.slots:
            return None
        candidates = self._candidates(desk, now, forced=forced)
        if first is None and short <= 0:
            best = min(candidates, default=None)
            return None if best is None else (best[0], (best[2],))
        return _enough(desk, sorted(candidates), short, first)

    def _candidates(self, desk: Desk, now: float, *, forced: bool) -> Iterator[tuple[float, float, str]]:
        """What may leave: seconds lost with it, when it was last used (later where it counts more), and its
        digest."""
        policy, groups, sums_with = self._policy, self._backlog.groups, self._desks.sums_with
        usual, is_sized = self.host_seconds(desk), bool(policy.bytes_of)
        worth_of = policy.worth_of
        for digest, found in desk.resident.items():
            if digest in desk.jobs or found.pinned:
                continue
            waits = digest in groups or digest in sums_with
            if waits and not forced and now - found.loaded_at < policy.resident_seconds:
                continue
            holders = len(self._desks.holders.get(digest, ())) or 1
            wanted = min(1.0, self._demand.rate(digest, now)) + (1.0 if waits else 0.0)
            seconds = usual * self.scale(desk, digest) if is_sized else usual
            last_used = found.last_used
            if worth_of and (worth := worth_of.get(digest)):
                wanted *= worth
                last_used += IDLE_SECONDS * math.log2(worth)
            yield (seconds * wanted / holders, last_used, digest)

    def staged(self, desk: Desk, group: str, now: float, *, early: bool) -> bool:
        """Whether it may be committed there now: from host memory always, from disk where little is read.

        And where the copy was asked for and never came: orders get lost, and the worker loads by itself.
        """
        if self._policy.parts_of and group in self._policy.parts_of:
            # What is derived is made where it runs, of the parts' own files, while other rows decode.
            parts = desk.missing(group) if self._policy.sum_of(group) else ()
            return all(self.staged(desk, part, now, early=early) for part in parts)
        if group in desk.host or not desk.jobs:
            return True
        patience = self._policy.fetch_seconds
        if desk.waits_for_copy(group, now, patience) and now - desk.asked[group] > patience:
            return True
        return early and desk.reading(now, patience) < self._policy.early_reads

    def may_come(self, desk: Desk, group: str, now: float) -> bool:
        """Whether an adapter may be meant for a worker whose disk has enough to read: it is read already, or
        need not be before it is committed."""
        return group in desk.fetching or self.staged(desk, group, now, early=True)

    def replicas(self, group: str, now: float) -> int:
        """How many holders demand asks for, by the rows of the largest worker."""
        policy = self._policy
        busy = self._demand.rate(group, now) * policy.service_seconds
        rows = policy.replica_share * self._desks.most_rows
        return min(len(self._desks), math.ceil(busy / rows)) if rows else 0


def _enough(
    desk: Desk, candidates: Iterable[tuple[float, float, str]], short: int, first: str | None
) -> tuple[float, tuple[str, ...]] | None:
    """The cheapest that free a slot and so many columns, and none of them in vain."""
    ordered = sorted(candidates, key=lambda candidate: (candidate[2] != first, candidate))
    chosen: list[tuple[float, float, str]] = []
    for candidate in ordered:
        if short <= 0 and (chosen or (desk.free_slots > 0 and first is None)):
            break
        chosen.append(candidate)
        short -= desk.columns(candidate[2])
    if short > 0 or not (chosen or desk.free_slots > 0):
        return None
    for candidate in sorted(chosen, reverse=True):  # a large one at the end makes small ones needless
        freed = desk.columns(candidate[2])
        needless = candidate[2] != first and short + freed <= 0
        if needless and (len(chosen) > 1 or desk.free_slots > 0):
            chosen.remove(candidate)
            short += freed
    return (sum(lost for lost, _, _ in chosen), tuple(digest for _, _, digest in chosen))
