"""Brings waiting rows and their adapters together: loads asked for, slots filled, leased and drained."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.engine.drains import (
    Claim,
    Holder,
    Parts,
    Want,
    draining,
    plan_claims,
    spared_for_others,
)
from lorayard_workers.engine.outcome import Tier
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner
from lorayard_workers.errors import CapacityError, RequestRefusedError
from lorayard_workers.memory.budget import check_pins
from lorayard_workers.memory.columns import blend
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.loader import EWMA_SHARE
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.slots import DeviceSlots, Room, Spared

_log = structlog.stdlib.get_logger(__name__)


def _unheard(digest: str) -> None:
    """Nobody asked to hear of it."""


@dataclass(slots=True, kw_only=True)
class Residents:
    """The engine thread's view of who has a slot, and who is on the way into one."""

    runner: ModelRunner
    slots: DeviceSlots
    host: HostTier
    ageing_seconds: float
    request_load: Callable[[str], None]
    request_prefetch: Callable[[str], None]
    """The same for what no row waits for: after all loads that one does."""
    on_pin_dropped: Callable[[str], None] = _unheard
    loading: Callable[[], Collection[str]] = frozenset
    """What the loader may still put into host memory."""
    adapter_rows: int = 0
    slot_hits: int = 0
    slot_loads: int = 0
    load_ms_host: float = 0.0
    _alone: set[str] = field(default_factory=set[str])  # known to be no plain sum of products
    _arrived: dict[str, HostAdapter] = field(default_factory=dict[str, HostAdapter])
    _claims: dict[Parts, Claim] = field(default_factory=dict[Parts, Claim])
    _draining: frozenset[str] = frozenset()
    _preloads: dict[str, None] = field(default_factory=dict[str, None])  # in the order asked for
    _leaving: set[str] = field(default_factory=set[str])

    def arrived(self, adapter: HostAdapter, waiting: Iterable[Row]) -> None:
        """The loader brought an adapter; kept for the rows that wait for it."""
        waiters = [row for row in waiting if adapter.digest in row.parts]
        for row in waiters:
            row.load_ms = _ms_since(row.load_started)
        if waiters or adapter.digest in self.slots.pinned or adapter.digest in self._preloads:
            self._take(adapter)

    def at_hand(self, digest: str) -> bool:
        """Whether rows can have the adapter without another load."""
        return self.slots.resident(digest) is not None or digest in self._arrived or digest in self.host

    def load_failed(self, digest: str) -> None:
        """The loader could not bring an adapter: no wish keeps asking for it."""
        self._preloads.pop(digest, None)
        self._drop_pin(digest)

    def not_kept(self, digest: str) -> None:
        """Host memory had no room for an adapter that no row waits for."""
        self._preloads.pop(digest, None)

    def pin(self, digest: str) -> None:
        """Into a slot as soon as one drains for it, and never out again until `unpin`."""
        self.slots.pinned |= {digest}
        self._leaving.discard(digest)
        if self.slots.resident(digest) is not None:
            self._refuse_pins([digest])

    def unpin(self, digest: str) -> None:
        """It may be evicted like any other."""
        self.slots.pinned -= {digest}

    def fetch(self, digest: str) -> None:
        """To host memory; whoever wanted it unloaded before does so no longer."""
        self._leaving.discard(digest)
        if digest not in self.host:
            self.request_prefetch(digest)

    def preload(self, digest: str) -> None:
        """Into a slot once, if that needs no more than free room and idle residents."""
        if self.slots.resident(digest) is None:
            self._preloads[digest] = None
        self._leaving.discard(digest)

    def unload(self, digest: str) -> None:
        """Out of slot and host memory as soon as no row uses or awaits it; unpins it too."""
        self._preloads.pop(digest, None)
        self.unpin(digest)
        self._leaving.add(digest)

    def request_loads(self, waiting: Iterable[Row]) -> None:
        """Ask for the first adapters in line that are in no tier; a bounded number at a time."""
        rows = list(waiting)
        missing = self._missing
        most = self.slots.count  # of each kind
        wanted = [
            *missing(sorted(self.slots.pinned)),
            *missing(dict.fromkeys(part for row in rows for part in row.parts))[:most],
        ]
        line = dict.fromkeys(wanted, self.request_load)
        for digest in missing(self._preloads)[:most]:
            line.setdefault(digest, self.request_prefetch)
        self._arrived = {d: self._arrived[d] for d in line if d in self._arrived}
        self._alone = {d for d in self._alone if d in self._arrived or self.slots.resident(d) is not None}
        for digest, request in line.items():
            if digest in self._arrived:
                _mark(rows, digest, Tier.HOST)  # rows that came after it
                continue
            adapter = self.host.get(digest)
            if adapter is not None:
                self._take(adapter)
                _mark(rows, digest, Tier.HOST)
                continue
            _mark(rows, digest, Tier.DISK)
            request(digest)

    def _take(self, adapter: HostAdapter) -> None:
        self._arrived[adapter.digest] = adapter
        if not adapter.sums:
            self._alone.add(adapter.digest)

    def plan_drains(self, waiting: Iterable[Row]) -> None:
        """Decide which residents take no new rows, so that adapters wanted for too long get a slot."""
        self._refuse_pins(d for d in self._missing(sorted(self.slots.pinned)) if d in self._arrived)
        aged = [
            Want(parts=(digest,), missing=Room.of([self._arrived[digest].rank]))
            for digest in self._missing(sorted(self.slots.pinned))
            if digest in self._arrived
        ]
        aged += [
            Want(parts=row.parts, missing=Room.of(ranks))
            for row in waiting
            if row.parts
            and row.waited_seconds() > self.ageing_seconds
            and (ranks := self._ranks_at_hand(row))
        ]
        holders = {
            slot.digest: Holder(columns=len(slot.columns), rows=len(slot.rows))
            for slot in self.slots.residents().values()
            if slot.digest not in self.slots.pinned
        }
        self._claims = plan_claims(aged, holders, self.slots.free, self._claims)
        self._draining = draining(self._claims)

    def never_fits(self, row: Row) -> CapacityError | RequestRefusedError | None:
        """Why a composition's parts cannot be used together, whoever leaves; None if they can."""
        if len(row.parts) > 1 or any(adapter.weight != 1 for adapter in row.adapters):
            alone = next((part for part in row.parts if part in self._alone), None)
            if alone is not None:
                return RequestRefusedError(
                    "bad_composition",
                    f"adapter {alone} has DoRA magnitudes or LoRA biases: it cannot be weighed or summed",
                    field="composition",
                )
        if len(row.parts) < 2:
            return None  # one adapter always fits: limits and pins saw to that
        others = self.slots.pinned.difference(row.parts)
        room = self.slots.total.beyond(Room.of(self._rank_if_known(digest) for digest in others))
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
        if not self._missing(row.parts):
            return True
        ranks = self._ranks_at_hand(row)
        return bool(ranks) and self.slots.has_room(Room.of(ranks), self._spared(row.parts))

    def lease(self, row: Row) -> None:
        """Give the row its adapters' columns, all of them or none, filling slots first if need be."""
        if not row.parts:
            return
        self.adapter_rows += 1
        missing = self._missing(row.parts)
        for digest in missing:
            row.load_ms += self._copy_into_slot(digest, self._spared(row.parts))
        if not missing and row.load_started is None:  # else it has waited for what another row brought
            row.tier = Tier.SLOT
            self.slot_hits += 1
        self._claim_met(row.parts)
        now = time.time()
        parts = sorted(row.adapters, key=lambda adapter: adapter.digest)  # one order, whatever slot has which
        try:
            row.columns = blend((self.slots.lease(part.digest, row, now), part.weight) for part in parts)
        except Exception:  # whatever it was: a row that does not start holds nothing
            self._drop_leases(row)
            raise

    def _drop_leases(self, row: Row) -> None:
        for part in row.parts:
            if row in self.slots.residents()[part].rows:
                self.slots.release(part, row)

    def count_merged(self, row: Row) -> None:
        """The row's adapter is in the base weights: nothing to load, so it counts as a hit."""
        row.tier = Tier.MERGED
        self.adapter_rows += 1
        self.slot_hits += 1

    def settle(self, waiting: Iterable[Row]) -> bool:
        """After rows have started: place what is pinned or preloaded, let go what shall leave.

        True if it did any of that: rows that had to wait may be able to start.
        """
        placed = self._place_wished()
        return self._drop_leaving(waiting) or placed

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

    def _missing(self, digests: Iterable[str]) -> list[str]:
        return [digest for digest in digests if self.slots.resident(digest) is None]

    def _rank_if_known(self, digest: str) -> int:
        """In columns; the least there is while nothing is known."""
        columns = self.slots.resident(digest)
        if columns is not None:
            return len(columns)
        return self._arrived[digest].rank if digest in self._arrived else 1

    def _ranks_at_hand(self, row: Row) -> list[int]:
        """Of the adapters that the row needs in slots; empty while one of them is still being loaded."""
        missing = self._missing(row.parts)
        if any(digest not in self._arrived for digest in missing):
            return []
        return [self._arrived[digest].rank for digest in missing]

    def _spared(self, parts: Parts) -> Spared:
        return spared_for_others(self._claims, parts)

    def _claim_met(self, parts: Parts) -> None:
        self._claims.pop(parts, None)
        self._draining = draining(self._claims)

    def _refuse_pins(self, new: Iterable[str]) -> None:
        """Drop those whose rank, now known, would leave no room for any other adapter."""
        judged = list(new)
        there = {
            digest: self._rank_if_known(digest)
            for digest in self.slots.pinned.difference(judged)
            if self.slots.resident(digest) is not None
        }
        for digest in judged:
            there[digest] = self._rank_if_known(digest)
            try:
                check_pins(there, total=self.slots.total, max_rank=self.slots.max_rank)
            except CapacityError as error:
                _log.warning(Event.PIN_REFUSED, digest=digest, reason=str(error))
                del there[digest]
                self._drop_pin(digest)

    def _drop_pin(self, digest: str) -> None:
        if digest in self.slots.pinned:
            self.unpin(digest)
            self.on_pin_dropped(digest)

    def _place_wished(self) -> bool:
        """Pinned adapters, then preloads; the latter only while no row's want is in their way."""
        changed = False
        for digest in self._missing([*sorted(self.slots.pinned), *self._preloads]):
            if digest not in self._arrived:
                continue
            self._preloads.pop(digest, None)  # one try: rows come first
            spared = self._spared((digest,))
            if not self.slots.has_room(Room.of([self._arrived[digest].rank]), spared):
                continue
            try:
                self._copy_into_slot(digest, spared)
            except Exception:  # noqa: BLE001  # no row asked for it: the rows go on
                _log.exception(Event.ADAPTER_NOT_PLACED, digest=digest)
                self.load_failed(digest)
            self._claim_met((digest,))
            changed = True
        return changed

    def _drop_leaving(self, waiting: Iterable[Row]) -> bool:
        if not self._leaving:
            return False
        changed = False
        awaited = {part for row in waiting for part in row.parts}
        # What is being loaded would be back at once. Asked before the drop: whatever is not among it has
        # reached host memory by now, or does not come.
        for digest in sorted(self._leaving.difference(self.loading(), awaited)):
            slot = self.slots.residents().get(digest)
            if slot is not None and slot.rows:
                continue
            if slot is not None:
                self.slots.drop(digest)
            self._arrived.pop(digest, None)
            self._leaving.discard(digest)
            changed = True
            freed = 0 if slot is None else len(slot.columns)
            host_bytes = self.host.drop(digest)
            _log.info(Event.ADAPTER_UNLOADED, digest=digest, columns=freed, host_bytes=host_bytes)
        return changed

    def _copy_into_slot(self, digest: str, spared: Spared) -> float:
        """From host to device; returns the milliseconds it took."""
        adapter = self._arrived.pop(digest)
        columns = self.slots.place(digest, adapter.rank, time.time(), spared)
        assert columns is not None  # may_start looked
        started = time.perf_counter()
        try:
            self.runner.retain(slot.columns for slot in self.slots.residents().values())
            self.runner.write_adapter(columns, adapter)
        except Exception:  # whatever it was: nobody may use what is half written
            self.slots.drop(digest)
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
