"""Brings waiting rows and their adapters together: loads asked for, slots filled, leased and drained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lorayard_workers.engine.drains import (
    Claim,
    Holder,
    Parts,
    Want,
    draining,
    plan_claims,
    spared_for_others,
)
from lorayard_workers.engine.protocol import Tier
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.columns import blend
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.loader import EWMA_SHARE
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.slots import DeviceSlots, Room, Spared


@dataclass(slots=True, kw_only=True)
class Residents:
    """The engine thread's view of who has a slot, and who is on the way into one."""

    runner: ModelRunner
    slots: DeviceSlots
    host: HostTier
    ageing_seconds: float
    request_load: Callable[[str], None]
    adapter_rows: int = 0
    slot_hits: int = 0
    slot_loads: int = 0
    load_ms_host: float = 0.0
    _arrived: dict[str, HostAdapter] = field(default_factory=dict[str, HostAdapter])
    _claims: dict[Parts, Claim] = field(default_factory=dict[Parts, Claim])
    _draining: frozenset[str] = frozenset()

    def arrived(self, adapter: HostAdapter, waiting: Iterable[Row]) -> None:
        """The loader brought an adapter; kept for the rows that wait for it."""
        for row in waiting:
            if adapter.digest in row.parts:
                self._arrived[adapter.digest] = adapter
                row.load_ms = _ms_since(row.load_started)

    def request_loads(self, waiting: Iterable[Row]) -> None:
        """Ask for the first adapters in line that are in no tier; a bounded number at a time."""
        rows = list(waiting)
        wanted = dict.fromkeys(part for row in rows for part in row.parts)
        line = [d for d in wanted if self.slots.resident(d) is None][: self.slots.count]
        self._arrived = {d: self._arrived[d] for d in line if d in self._arrived}
        for digest in line:
            if digest in self._arrived:
                _mark(rows, digest, Tier.HOST)  # rows that came after it
                continue
            adapter = self.host.get(digest)
            if adapter is not None:
                self._arrived[digest] = adapter
                _mark(rows, digest, Tier.HOST)
                continue
            _mark(rows, digest, Tier.DISK)
            self.request_load(digest)

    def plan_drains(self, waiting: Iterable[Row]) -> None:
        """Decide which residents take no new rows, so that adapters wanted for too long get a slot."""
        aged = [
            Want(parts=row.parts, missing=Room.of(ranks))
            for row in waiting
            if row.parts
            and row.waited_seconds() > self.ageing_seconds
            and (ranks := self._ranks_at_hand(row))
        ]
        holders = {
            slot.digest: Holder(columns=len(slot.columns), rows=len(slot.rows))
            for slot in self.slots.residents().values()
            if not slot.pinned
        }
        self._claims = plan_claims(aged, holders, self.slots.free, self._claims)
        self._draining = draining(self._claims)

    def never_fits(self, row: Row) -> CapacityError | None:
        """Why a composition's parts cannot lie in slots together, whoever leaves; None if they can."""
        if len(row.parts) < 2:
            return None  # one adapter always fits: limits and pins saw to that
        others = [s for s in self.slots.residents().values() if s.pinned and s.digest not in row.parts]
        room = self.slots.total.beyond(Room.of(len(slot.columns) for slot in others))
        needed = Room.of(self._rank_if_known(part) for part in row.parts)
        if needed.slots > room.slots:
            return CapacityError(
                f"a composition of {needed.slots} adapters (slots beside what is pinned)",
                needed=needed.slots,
                limit=room.slots,
                setting="slots",
            )
        if needed.columns > room.columns:
            return CapacityError(
                f"a composition of {needed.slots} adapters (columns beside what is pinned)",
                needed=needed.columns,
                limit=room.columns,
                setting="slot_bytes",
            )
        return None

    def may_start(self, row: Row) -> bool:
        """Whether `lease` would succeed now."""
        if any(part in self._draining for part in row.parts):
            return False
        if not self._missing(row):
            return True
        ranks = self._ranks_at_hand(row)
        return bool(ranks) and self.slots.has_room(Room.of(ranks), self._spared(row))

    def lease(self, row: Row) -> None:
        """Give the row its adapters' columns, all of them or none, filling slots first if need be."""
        if not row.parts:
            return
        self.adapter_rows += 1
        missing = self._missing(row)
        for digest in missing:
            row.load_ms += self._copy_into_slot(digest, self._spared(row))
        if not missing and row.load_started is None:  # else it has waited for what another row brought
            row.tier = Tier.SLOT
            self.slot_hits += 1
        self._claims.pop(row.parts, None)
        self._draining = draining(self._claims)
        now = time.time()
        row.columns = blend(
            (self.slots.lease(adapter.digest, row, now), adapter.weight) for adapter in row.adapters
        )

    def count_merged(self, row: Row) -> None:
        """The row's adapter is in the base weights: nothing to load, so it counts as a hit."""
        row.tier = Tier.MERGED
        self.adapter_rows += 1
        self.slot_hits += 1

    def release(self, row: Row) -> None:
        """The row has ended."""
        if row.tier is Tier.MERGED:
            return  # it never leased
        for part in row.parts:
            self.slots.release(part, row)

    def check(self, *, idle: bool) -> None:
        """The books of slots and host tier agree. Raises InvariantError."""
        self.host.check()
        if idle:
            self.slots.check_idle()
        else:
            self.slots.check()

    def _missing(self, row: Row) -> list[str]:
        return [part for part in row.parts if self.slots.resident(part) is None]

    def _rank_if_known(self, digest: str) -> int:
        """In columns; the least there is while nothing is known."""
        columns = self.slots.resident(digest)
        if columns is not None:
            return len(columns)
        return self._arrived[digest].rank if digest in self._arrived else 1

    def _ranks_at_hand(self, row: Row) -> list[int]:
        """Of the adapters that the row needs in slots; empty while one of them is still being loaded."""
        missing = self._missing(row)
        if any(digest not in self._arrived for digest in missing):
            return []
        return [self._arrived[digest].rank for digest in missing]

    def _spared(self, row: Row) -> Spared:
        return spared_for_others(self._claims, row.parts)

    def _copy_into_slot(self, digest: str, spared: Spared) -> float:
        """From host to device; returns the milliseconds it took."""
        adapter = self._arrived.pop(digest)
        columns = self.slots.place(digest, adapter.rank, time.time(), spared)
        assert columns is not None  # may_start looked
        started = time.perf_counter()
        try:
            self.runner.retain(slot.columns for slot in self.slots.residents().values())
            self.runner.write_adapter(columns, adapter)
        except Exception:
            self.slots.drop(digest)  # half written
            raise
        took_ms = _ms_since(started)
        before = self.load_ms_host or took_ms
        self.slot_loads += 1
        self.load_ms_host = before + EWMA_SHARE * (took_ms - before)
        return took_ms


def _mark(rows: Iterable[Row], digest: str, tier: Tier) -> None:
    """Remember where a row's adapter was when the row first wanted it."""
    for row in rows:
        if digest not in row.parts:
            continue
        if row.load_started is None:
            row.tier, row.load_started = tier, time.perf_counter()
        elif tier is Tier.DISK:
            row.tier = tier  # of several adapters the slowest counts


def _ms_since(moment: float | None) -> float:
    return 0.0 if moment is None else (time.perf_counter() - moment) * 1000
