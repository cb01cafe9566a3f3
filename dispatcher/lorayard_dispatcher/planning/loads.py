"""What it costs to load an adapter somewhere, in seconds of one worker's time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from lorayard_dispatcher.planning.backlog import Backlog
from lorayard_dispatcher.planning.demand import Demand
from lorayard_dispatcher.planning.desks import Desk, Desks
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Source

FREE = ("", 0.0)


@dataclass(frozen=True, slots=True)
class Load:
    """A load that could be."""

    cost_seconds: float
    evicts: str | None
    source: Source


class Quote(NamedTuple):
    """What any load costs a worker now, by where the adapter would come from."""

    evicts: str | None
    host_seconds: float
    fetching_seconds: float  # it is on its way into host memory
    disk_seconds: float

    def seconds(self, desk: Desk, group: str) -> float:
        """What it costs to load an adapter there."""
        if group in desk.host:
            return self.host_seconds
        return self.fetching_seconds if group in desk.fetching else self.disk_seconds


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

    def load(self, desk: Desk, group: str, now: float, *, forced: bool = False) -> Load | None:
        """What loading it there costs; None when every slot is in use. `forced` may take a slot whose adapter
        was loaded a moment ago."""
        quote = self.quote(desk, now, forced=forced)
        if quote is None:
            return None
        source = Source.HOST if group in desk.host else Source.DISK
        return Load(quote.seconds(desk, group), quote.evicts, source)

    def quote(self, desk: Desk, now: float, *, forced: bool = False) -> Quote | None:
        """The same for any adapter: which slot it takes does not depend on what comes into it."""
        victim = self.victim(desk, now, forced=forced)
        if victim is None:
            return None
        lost, evicts = victim
        disk = self.disk_seconds(desk)
        disturbed = self.host_seconds(desk) * (1.0 + self._policy.stall * desk.in_flight)
        return Quote(
            evicts=evicts,
            host_seconds=disturbed + lost,
            fetching_seconds=disturbed + 0.5 * disk + lost,
            disk_seconds=disturbed + disk + lost,
        )

    def victim(self, desk: Desk, now: float, *, forced: bool = False) -> tuple[float, str | None] | None:
        """The cheapest slot: seconds lost with its adapter, and the adapter; None for a free one."""
        if desk.free_slots > 0:
            return (0.0, None)
        if desk.slots_in_use >= desk.view.slots:
            return None
        best = (math.inf, 0.0, "")
        policy, groups = self._policy, self._backlog.groups
        for digest, found in desk.resident.items():
            if digest in desk.jobs or found.pinned:
                continue
            waits = digest in groups
            if waits and not forced and now - found.loaded_at < policy.resident_seconds:
                continue
            holders = len(self._desks.holders.get(digest, ())) or 1
            wanted = min(1.0, self._demand.rate(digest, now)) + (1.0 if waits else 0.0)
            value = (self.host_seconds(desk) * wanted / holders, found.last_used, digest)
            if value < best:
                best = value
        return None if best[2] == "" else (best[0], best[2])

    def staged(self, desk: Desk, group: str, now: float, *, early: bool) -> bool:
        """Whether it may be committed there now: from host memory always, from disk where little runs.

        And where the copy was asked for and never came: orders get lost, and the worker loads by itself.
        """
        if group in desk.host or not desk.jobs:
            return True
        patience = self._policy.fetch_seconds
        if desk.waits_for_copy(group, now, patience) and now - desk.asked[group] > patience:
            return True
        return early and desk.in_flight <= self._policy.early_share * desk.rows

    def replicas(self, group: str, now: float) -> int:
        """How many holders demand asks for, by the rows of the largest worker."""
        policy = self._policy
        busy = self._demand.rate(group, now) * policy.service_seconds
        rows = policy.replica_share * self._desks.most_rows
        return min(len(self._desks), math.ceil(busy / rows)) if rows else 0
