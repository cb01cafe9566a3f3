"""Brings waiting rows and their adapters together: loads asked for, slots filled, leased and drained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lorayard_workers.engine.admission import plan_drains
from lorayard_workers.engine.protocol import Tier
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.loader import EWMA_SHARE
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.slots import DeviceSlots


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
    _drains: dict[str, str] = field(default_factory=dict[str, str])

    def arrived(self, adapter: HostAdapter, waiting: Iterable[Row]) -> None:
        """The loader brought an adapter; kept for the rows that wait for it."""
        for row in waiting:
            if row.digest == adapter.digest:
                self._arrived[adapter.digest] = adapter
                row.load_ms = _ms_since(row.load_started)

    def request_loads(self, waiting: Iterable[Row]) -> None:
        """Ask for the first adapters in line that are in no tier; a bounded number at a time."""
        rows = list(waiting)
        wanted = dict.fromkeys(row.digest for row in rows if row.digest is not None)
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
        if self.slots.has_room():
            self._drains = {}
            return
        aged = [
            row.digest
            for row in waiting
            if row.digest is not None
            and self.slots.resident(row.digest) is None
            and row.waited_seconds() > self.ageing_seconds
        ]
        rows = self.slots.rows_by_digest()
        movable = {d: used for d, used in rows.items() if d not in self.slots.pinned}
        self._drains = plan_drains(aged, movable, self._drains)

    def may_start(self, row: Row) -> bool:
        """Whether `lease` would succeed now."""
        if row.digest in self._drains.values():
            return False
        if row.digest is None or self.slots.resident(row.digest) is not None:
            return True
        return row.digest in self._arrived and self.slots.has_room()

    def lease(self, row: Row) -> None:
        """Give the row its adapter's columns, filling a slot first if need be."""
        if row.digest is None:
            return
        self.adapter_rows += 1
        if self.slots.resident(row.digest) is None:
            row.load_ms += self._copy_into_slot(row.digest)
        elif row.load_started is None:  # else it has waited for what another row brought
            row.tier = Tier.SLOT
            self.slot_hits += 1
        row.columns = self.slots.lease(row.digest, row, time.time())

    def release(self, row: Row) -> None:
        """The row has ended."""
        if row.digest is not None:
            self.slots.release(row.digest, row)

    def check(self, *, idle: bool) -> None:
        """The books of slots and host tier agree. Raises InvariantError."""
        self.host.check()
        if idle:
            self.slots.check_idle()
        else:
            self.slots.check()

    def _copy_into_slot(self, digest: str) -> float:
        """From host to device; returns the milliseconds it took."""
        adapter = self._arrived.pop(digest)
        columns = self.slots.place(digest, adapter.rank, time.time())
        assert columns is not None  # may_start looked
        started = time.perf_counter()
        try:
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
        if row.digest == digest and row.load_started is None:
            row.tier, row.load_started = tier, time.perf_counter()


def _ms_since(moment: float | None) -> float:
    return 0.0 if moment is None else (time.perf_counter() - moment) * 1000
