"""The fleet while plans are made: each worker's room and adapters, and who holds what, by name.

What a plan gives away is laid over at once; the next view of the worker replaces it. Lists are sorted by
name and looked at from a place that a hash picks, so that a choice costs the same with a thousand workers
as with ten, and the same calls make the same choice in every process.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from zlib import crc32

from lorayard_dispatcher.planning.desk import FORGET, MOST_ASKED, Desk
from lorayard_dispatcher.planning.name_lists import enter, enter_all, leave, leave_all, move
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.pulls import Pulls
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WorkerView

NOBODY: Sequence[str] = ()

MOST_SERVED = 16_384
"""Answers kept: more groups than a plan looks at."""

CHOICES = 16
"""Workers looked at for one decision: more than two choices bring little (Mitzenmacher 2001), and a fleet of
this size is seen whole."""


class Desks:
    """All workers, and by adapter who holds it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._pulls = Pulls()
        self.by_name: dict[str, Desk] = {}
        self.names: list[str] = []
        """All workers, sorted."""
        self.open: list[str] = []
        """Workers with room, sorted."""
        self.free: list[str] = []
        """Those of them where a job would start at once, sorted."""
        self.holders: dict[str, list[str]] = {}
        """Adapter -> workers that hold it, sorted."""
        self.open_holders: dict[str, list[str]] = {}
        """Those of them with room."""
        self._sums: dict[str, tuple[str, ...]] = {}
        """Sums of adapters that jobs wait for. They stand among the holders where all of them are."""
        self.sums_with: dict[str, dict[str, None]] = {}
        """Adapter -> the sums that it is part of, in the order in which they came."""
        self.hosts: dict[str, list[str]] = {}
        """Adapter -> workers with it in host memory or on the way there."""
        self.most_rows = 1
        """Of any worker so far."""
        self.draining: set[str] = set()
        self.landed: set[str] = set()
        """Adapters that came into host memory somewhere, as was asked."""
        self._served: dict[tuple[str, str | None], bool] = {}
        """By group and its base model: whether some worker could serve it, as far as was asked."""
        self.served_changes = 0
        """Times that this may have changed."""
        self.changed: set[str] = set()
        """Workers that may be able to take what they were not when last looked at."""

    def __len__(self) -> int:
        return len(self.by_name)

    def see(self, view: WorkerView) -> None:
        """A worker as it is now. What it costs is what has changed there."""
        desk = self.by_name.get(view.worker)
        if desk is None:
            desk = self.by_name[view.worker] = Desk(view, self._policy)
            insort(self.names, view.worker)
            self._forget_served()
            enter_all(self.holders, desk.resident, desk.name)
            self._join(desk, desk.resident)
            enter_all(self.hosts, desk.host | desk.fetching, desk.name)
        else:
            if desk.asked and (landed := view.host.intersection(desk.asked)):
                self.landed.update(landed, *[self.sums_with.get(digest, ()) for digest in landed])
                desk.asked = {digest: at for digest, at in desk.asked.items() if digest not in landed}
            resident, host, fetching = desk.resident, desk.host, desk.fetching
            if not desk.serves_as(view):
                self._forget_served()
            desk.take(view)
            self._list_adapters(desk, resident)
            if desk.host != host or desk.fetching != fetching:
                # Host memory holds hundreds, of which few have changed.
                gone = (host - desk.host) | (fetching - desk.fetching)
                come = (desk.host - host) | (desk.fetching - fetching)
                leave_all(self.hosts, gone - desk.host - desk.fetching, desk.name)
                enter_all(self.hosts, come - host - fetching, desk.name)
        self._list(desk)
        if desk.rows > self.most_rows:
            self.most_rows = desk.rows
        if desk.room > 0:
            self.changed.add(view.worker)

    def lose(self, worker: str) -> None:
        """A worker is gone."""
        desk = self.by_name.pop(worker, None)
        if desk is None:
            return
        del self.names[bisect_left(self.names, worker)]
        self._forget_served()
        desk.room = 0
        self._list(desk)
        leave_all(self.holders, (*desk.resident, *desk.sums), worker)
        leave_all(self.hosts, desk.host | desk.fetching, worker)
        self.draining.discard(worker)
        self.changed.discard(worker)

    def can_serve(self, group: str, base: str | None) -> bool:
        """Whether some worker could ever serve a group, which fits this base model."""
        found = self._served.get((group, base))
        if group in self._policy.parts_of:  # what is pinned counts, and comes and goes
            return any(desk.fits(group, base) for desk in self.by_name.values())
        if found is None:
            if len(self._served) >= MOST_SERVED:
                self._served.clear()
            found = any(desk.fits(group, base) for desk in self.by_name.values())
            self._served[group, base] = found
        return found

    def _forget_served(self) -> None:
        self._served.clear()
        self.served_changes += 1

    def give(self, desk: Desk, group: str) -> None:
        """Lay one more job over a worker that holds its adapter."""
        desk.add(group)
        if desk.room <= 0 or desk.in_flight >= desk.rows or desk.drain is not None:
            self._list(desk)

    def load(self, desk: Desk, group: str, evicted: Sequence[str], now: float) -> None:
        """An adapter is on its way into a slot, in place of others where there is no room."""
        free = 0
        if desk.view.columns:
            free = desk.free_columns + desk.taken_columns(evicted) - desk.columns(group)
        missing = desk.missing(group)
        resident = desk.resident = dict(desk.resident)
        for digest in evicted:
            del resident[digest]
            desk.left[digest] = None
            desk.jobs.pop(digest, None)
            leave(self.holders, digest, desk.name)
            leave(self.open_holders, digest, desk.name)
        desk.free_slots = max(0, desk.free_slots + len(evicted) - len(missing))
        desk.free_columns = max(0, free)
        for digest in missing:
            # What is derived may be forgotten before a view tells how large it is.
            columns = desk.columns(digest) if digest in self._policy.parts_of else 0
            resident[digest] = Resident(last_used=now, loaded_at=now, columns=columns)
            desk.left.pop(digest, None)
            if digest not in desk.host and digest not in self._policy.parts_of:
                desk.reads[digest] = now
            enter(self.holders, digest, desk.name)
            if desk.room > 0:
                enter(self.open_holders, digest, desk.name)
        self._join(desk, (*evicted, *missing))

    # ---- sums of adapters

    def compose(self, group: str, parts: tuple[str, ...]) -> None:
        """A job waits for a sum of adapters."""
        if group in self._sums:
            return
        self._sums[group] = parts
        for part in parts:
            self.sums_with.setdefault(part, {})[group] = None
        for name in tuple(self.holders.get(parts[0], ())):
            self._join(self.by_name[name], parts[:1])

    def forget_sums(self, waiting: Callable[[str], bool]) -> None:
        """Those that no job waits for any more."""
        for group in [group for group in self._sums if not waiting(group)]:
            for part in self._sums.pop(group):
                del self.sums_with[part][group]
                if not self.sums_with[part]:
                    del self.sums_with[part]
            self.open_holders.pop(group, None)
            for name in self.holders.pop(group, ()):
                del self.by_name[name].sums[group]

    def _join(self, desk: Desk, changed: Iterable[str]) -> None:
        """Adapters have come to a worker or left it: with them the sums that they are part of."""
        if not self._sums:
            return
        resident = desk.resident
        for group in {group: None for digest in changed for group in self.sums_with.get(digest, ())}:
            parts = self._sums[group]
            if all(part in resident for part in parts):
                desk.sums[group] = parts
                enter(self.holders, group, desk.name)
                if desk.is_open:
                    enter(self.open_holders, group, desk.name)
            elif desk.sums.pop(group, None) is not None:
                leave(self.holders, group, desk.name)
                leave(self.open_holders, group, desk.name)

    def fetch(self, desk: Desk, group: str, now: float) -> None:
        """An adapter is on its way into host memory."""
        if not desk.waits_for_copy(group, now, self._policy.fetch_seconds):
            if len(desk.asked) >= MOST_ASKED:
                desk.asked = {
                    digest: at
                    for digest, at in desk.asked.items()
                    if at <= now < at + FORGET * self._policy.fetch_seconds
                }
            desk.asked[group] = now
        desk.read = (group, now)
        if group not in desk.host and group not in desk.fetching:
            desk.fetching.add(group)
            enter(self.hosts, group, desk.name)

    def drain(self, desk: Desk, adapter: str, group: str) -> None:
        """Give an adapter no new rows there, so that its slot comes free for a group."""
        desk.drain = (adapter, group)
        self.draining.add(desk.name)
        self._list(desk)

    def undrain(self, desk: Desk) -> None:
        """The drain is over, or in vain."""
        desk.drain = None
        desk.emptied = set()
        self.draining.discard(desk.name)
        self._list(desk)
        if desk.room > 0:
            self.changed.add(desk.name)

    def keeps(self, desk: Desk, group: str) -> bool:
        """Whether it has the adapter and gives it new rows; base-model jobs need none."""
        there = group == BASE_GROUP or group in desk.resident or group in desk.sums
        return there and desk.gives(group) and desk.fits(group, self._policy.base_of.get(group))

    def holder(
        self, group: str, key: str, *, queue: bool, spare: bool = False, home: str | None = None
    ) -> Desk | None:
        """The least filled worker that holds the adapter and has room; for base-model jobs any worker.

        `queue`: also one whose rows are all taken, where it would wait. `spare`: some room must be left.
        `home` comes first.
        """
        names: Sequence[str]
        if group == BASE_GROUP:
            names = self.open if queue else self.free
        else:
            names = self.open_holders.get(group, NOBODY)
            if not queue and len(self.free) < len(names):
                names = self.free
        at_home = self.by_name.get(home) if home is not None else None
        if at_home is not None and at_home.room > 0 and self.keeps(at_home, group):
            found = self._least_filled((at_home.name,), group, key, queue, spare)
            if found:
                return at_home
        found = self._least_filled(names, group, key, queue, spare)
        return self._pulls.strongest(group, found) if found else None

    def _least_filled(
        self, names: Sequence[str], group: str, key: str, queue: bool, spare: bool
    ) -> list[Desk]:
        """As `choices`, which this repeats, like `_strangers`: of some workers with room those that may take
        a job of a group, and of these the least filled."""
        base, by_name, count = self._policy.base_of.get(group), self.by_name, len(names)
        start, left = (0, count) if count <= CHOICES else (crc32(key.encode()) % count, CHOICES)
        is_easy = base is None and not self._policy.parts_of
        is_sought = names is self.free and group != BASE_GROUP  # the other lists are of those that hold it
        found: list[Desk] = []
        least = math.inf
        for at in range(start - count, start):
            desk = by_name[names[at]]
            if is_sought and group not in desk.resident and group not in desk.sums:
                continue
            if not (queue or desk.is_free) or (spare and desk.spare <= desk.kept):
                continue
            if desk.drain is not None and (desk.room <= 1 or not desk.gives(group)):
                continue
            if (is_easy and desk.is_even) or desk.fits(group, base):
                filled = desk.in_flight / desk.rows
                if filled < least:
                    least, found = filled, [desk]
                elif filled == least:
                    found.append(desk)
                left -= 1
                if left == 0:
                    break
        return found

    def strangers(self, group: str, key: str, *, free: bool = False, most: int = CHOICES) -> list[Desk]:
        """Workers with room (`free`: with a row) that could load the adapter: some that have a copy, and some
        that have not, `most` of a large fleet."""
        others = self._strangers(self.free if free else self.open, group, key, free, most)
        hosts = self.hosts.get(group)
        if hosts is None:
            return others
        if free and len(self.free) < len(hosts):
            by_name = self.by_name
            hosts = [
                name for name in self.free if group in (desk := by_name[name]).host or group in desk.fetching
            ]
        near = self._strangers(hosts, group, key, free, CHOICES)
        return near + [desk for desk in others if desk not in near]

    def _strangers(self, names: Sequence[str], group: str, key: str, free: bool, most: int) -> list[Desk]:
        """As `choices`, which this repeats: it is what a plan does most often."""
        base, by_name, count = self._policy.base_of.get(group), self.by_name, len(names)
        start, left = (0, count) if count <= most else (crc32(key.encode()) % count, most)
        found: list[Desk] = []
        parts_of = self._policy.parts_of
        for at in range(start - count, start):
            desk = by_name[names[at]]
            if not (desk.is_free if free else desk.is_open) or group in desk.resident:
                continue
            if desk.sums and group in desk.sums:
                continue
            if (base is None and desk.is_plain and group not in parts_of) or desk.fits(group, base):
                found.append(desk)
                left -= 1
                if left == 0:
                    break
        return found

    def choices(
        self, names: Sequence[str], key: str, passes: Callable[[Desk], bool], most: int = CHOICES
    ) -> list[Desk]:
        """A few of a sorted list that pass, the first from a place that the key's hash picks; of a short list
        all that pass."""
        by_name = self.by_name
        count = len(names)
        if count <= CHOICES:
            return [desk for name in names if passes(desk := by_name[name])]
        found: list[Desk] = []
        start = crc32(key.encode()) % count
        for at in range(start - count, start):  # those before 0 count from the end
            desk = by_name[names[at]]
            if passes(desk):
                found.append(desk)
                if len(found) == most:
                    break
        return found

    def crowded(self, names: Sequence[str]) -> list[str]:
        """Those of some workers where something may have to leave for an adapter; none while slots are free.
        Who looks for many groups asks once."""
        by_name = self.by_name
        if self._policy.parts_of:  # a sum may take more slots than are free
            return list(names)
        return [name for name in names if (desk := by_name[name]).free_slots <= 0 or desk.view.columns]

    def _list(self, desk: Desk) -> None:
        """Into the lists of those with room, and with free rows, or out of them."""
        is_open = desk.room > 0
        is_free = desk.in_flight < desk.rows and desk.room > (0 if desk.drain is None else 1)
        if is_free is not desk.is_free:
            desk.is_free = is_free
            move(self.free, desk.name, into=is_free)
        if is_open is not desk.is_open:
            desk.is_open = is_open
            move(self.open, desk.name, into=is_open)
            change = enter_all if is_open else leave_all
            change(self.open_holders, (*desk.resident, *desk.sums) if desk.sums else desk.resident, desk.name)

    def _list_adapters(self, desk: Desk, before: Mapping[str, Resident]) -> None:
        """Of a worker that held others before."""
        after = desk.resident
        if before.keys() == after.keys():
            return
        gone, come = before.keys() - after.keys(), after.keys() - before.keys()
        for index in (self.holders, self.open_holders) if desk.is_open else (self.holders,):
            leave_all(index, gone, desk.name)
            enter_all(index, come, desk.name)
        self._join(desk, (*sorted(gone), *sorted(come)))
