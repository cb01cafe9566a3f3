"""How a worker shows itself: load reports to dispatchers, an advert in `yard_workers` (A4).

Both are whole states with a rising number, never deltas: a lost or repeated one does no harm. Load reports
follow a change within milliseconds; the advert, which everybody watches, is coalesced further and beats each
second with a time to live, so that silence is a death.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

import nats.errors

from lorayard_schemas import headers
from lorayard_schemas.advert import (
    MAX_REFUSED_ADAPTERS,
    MAX_REFUSED_CHARACTERS,
    MAX_TOLD_DIGESTS,
    MAX_TOLD_LOADING,
    RefusedAdapter,
    SlotAdvert,
    WorkerAdvert,
    WorkerCounters,
)
from lorayard_schemas.assignment import Assignment, WorkerLoad
from lorayard_schemas.codec import encode
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.topology import WORKER_TTL_SECONDS
from lorayard_workers.adapters.catalog import BrokenEntry
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.residency import Residency
from lorayard_workers.service.held_jobs import HeldJobs
from lorayard_workers.service.load_reports import LoadReports

BEAT_SECONDS = 1.0
ADVERT_GAP_SECONDS = 0.05
ARRIVAL_SECONDS = 0.05
"""Between two looks at what is on its way into host memory: whoever asked for it waits to be told."""
REMEMBERED_DISPATCHERS = 64
HEARD_SECONDS = 1.0
"""Jobs that go back wait no longer for a dispatcher that does not listen."""
DRAINING_SECONDS = 1.0
"""How long a stop waits for a slow server to store that it is meant."""

_ADVERT_HEADERS = {headers.TTL: str(WORKER_TTL_SECONDS)}


class Presence:
    """What this worker says about itself, and when."""

    def __init__(
        self,
        bus: Bus,
        engine: Engine,
        held: HeldJobs,
        *,
        worker: str,
        model: str,
        broken: Sequence[BrokenEntry],
        labels: Mapping[str, str] = MappingProxyType({}),
        bound: bool = False,
    ) -> None:
        """`bound`: to the adapter that its settings dedicate it to, if they do."""
        self.worker = worker
        self.epoch = time.time_ns()
        self.draining = False
        self.paused: Callable[[], bool] = bool
        """Whether somebody has it take no jobs for a while."""
        self.counted: Callable[[], dict[str, int]] = dict
        """Jobs held of what is paused or capped."""
        self.emergency = False
        """Whether it pulls jobs by itself."""
        self.trouble = ""
        """Why it takes no work and is about to end; empty: it is well."""
        self.faults: Callable[[], tuple[str, ...]] = tuple
        """What makes no progress."""
        self.counters: Callable[[], WorkerCounters] = WorkerCounters
        self.coming: Callable[[], frozenset[str]] = frozenset
        """Adapters on their way onto the disk."""
        self.served: Callable[[], dict[str, int]] = dict
        """Tokens by tenant."""
        self._bus = bus
        self._engine = engine
        self._held = held
        self._model = model
        self._refused = refused_adapters(broken)
        self._folder_changes = 0
        self._labels, self._bound = dict(labels), bound
        self.key = f"$KV.{bus.subjects.bucket('workers')}.{worker}"
        self._number = 0
        self.sequence = 0
        """Of the last advert."""
        self._loading = frozenset[str]()
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._report_to: dict[str, str] = {}
        self._load_reports = LoadReports(bus, self.load, self._report_to)
        self._advert_due = asyncio.Event()

    def saw(self, assignment: Assignment) -> None:
        """Remember how far each dispatcher's assignments have come."""
        if not assignment.load_subject:
            return  # of a worker that hands on; it hears nothing
        name = assignment.dispatcher
        self._seen[name] = max(assignment.number, self._seen.get(name, 0))
        self._seen.move_to_end(name)
        self._report_to[name] = assignment.load_subject
        while len(self._seen) > REMEMBERED_DISPATCHERS:
            gone, _ = self._seen.popitem(last=False)
            self._report_to.pop(gone, None)

    @property
    def takes_jobs(self) -> bool:
        """Whether it neither stops nor is unwell, and is not paused."""
        return self.is_well and not self.paused()

    @property
    def is_well(self) -> bool:
        """Whether it neither stops nor is about to end."""
        return not self.draining and not self.trouble

    def changed(self) -> None:
        """Something is worth saying."""
        self._load_reports.changed()
        self._advert_due.set()

    def answered(self, dispatcher: str) -> None:
        """The same, but for this dispatcher, which has just been answered with the load."""
        if self._report_to.keys() - {dispatcher}:
            self._load_reports.changed()
        self._advert_due.set()

    def folder_changed(self) -> None:
        """There are others in the worker's own folder of adapters: what it lacked it may have now."""
        self._folder_changes += 1
        self.changed()

    def refuse(self, broken: Sequence[BrokenEntry]) -> None:
        """These lie in its folder, or did, and are not served."""
        refused = refused_adapters(broken)
        if refused != self._refused:
            self._refused = refused
            self.changed()

    def load(self) -> WorkerLoad:
        """What is held now, as the next report."""
        self._number += 1
        return WorkerLoad.model_construct(
            worker=self.worker,
            epoch=self.epoch,
            number=self._number,
            seen=dict(self._seen),
            room=self._held.room if self.takes_jobs else 0,
            holding=self._held.keys,
            draining=self.draining,
            paused=self.paused(),
            counted=self.counted(),
            served=self.served(),
        )

    async def tell_given_back(self, keys: Sequence[str]) -> None:
        """Say of jobs that they come back sound, and wait until that is heard: a delivery may be faster."""
        body = encode(self.load().model_copy(update={"given_back": tuple(keys)}))
        await asyncio.gather(*(self._tell(subject, body) for subject in self._report_to.values()))

    async def _tell(self, subject: str, body: bytes) -> None:
        with suppress(nats.errors.Error):  # it is gone, or counts a lapse where there was none
            await self._bus.nc.request(subject, body, timeout=HEARD_SECONDS)

    async def run_adverts(self) -> None:
        """Write the advert on change and as a heartbeat, until cancelled."""
        while True:
            await self._until_due()
            self._advert_due.clear()
            await self.beat()
            await asyncio.sleep(ADVERT_GAP_SECONDS)

    async def _until_due(self) -> None:
        """Until something has changed, or it is time to beat. What is being loaded arrives without a word."""
        beat_at = time.monotonic() + BEAT_SECONDS
        while (left := beat_at - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, ARRIVAL_SECONDS) if self._loading else left):
                    await self._advert_due.wait()
                return
            if self._engine.residency().loading != self._loading:
                return

    async def beat(self) -> None:
        """Write the advert once. Nothing is kept for later while the bus is away: it would be stale."""
        if not self._bus.connected or not (self._engine.alive() or self.trouble):
            return
        with suppress(nats.errors.Error):
            await self._bus.nc.publish(self.key, encode(self.advert()), headers=_ADVERT_HEADERS)

    async def begin_draining(self) -> None:
        """Take no more from here on, and say so: an advert that goes without this is a death."""
        self.draining = True
        self.changed()
        # Stored before anything else happens: the bucket keeps one value per key, so that an advert taken
        # down right behind this one would hide it from who has not read it yet.
        if self._bus.connected and self._engine.alive():
            with suppress(nats.errors.Error):
                await self._bus.js.publish(
                    self.key, encode(self.advert()), timeout=DRAINING_SECONDS, headers=_ADVERT_HEADERS
                )

    async def fail(self, trouble: str) -> None:
        """Take no more from here on, and say why."""
        self.trouble = trouble
        self.changed()
        await self.beat()

    async def leave(self) -> None:
        """Take the advert down at once, instead of letting it run out; the last one says that it is meant.

        Or it does not, and who reads it takes the worker for dead.
        """
        await self.beat()
        with suppress(nats.errors.Error):
            await self._bus.nc.publish(self.key, b"", headers={"KV-Operation": "DEL"})

    def advert(self) -> WorkerAdvert:
        """Everything worth knowing about this worker."""
        self.sequence += 1
        residency = self._engine.residency()
        self._loading = residency.loading
        return WorkerAdvert(
            worker=self.worker,
            epoch=self.epoch,
            sequence=self.sequence,
            at=time.time(),
            engine=type(self._engine).__name__,
            model=self._model,
            base_digest=self._engine.base_digest,
            context_tokens=self._engine.context_tokens,
            composes=residency.composes,
            dedicated=residency.serves_only,
            bound=self._bound,
            labels=self._labels,
            slots=tuple(
                SlotAdvert(
                    digest=s.digest, rows=s.rows, columns=s.columns, last_used=s.last_used, pinned=s.pinned
                )
                for s in residency.slots
            ),
            slot_count=residency.slot_count,
            columns_used=residency.columns_used,
            columns_total=residency.columns_total,
            # Beyond that some go untold: their loads are taken for longer than they are, and nothing else.
            host=tuple(sorted(residency.host)[:MAX_TOLD_DIGESTS]),
            loading=tuple(sorted(residency.loading | self.coming())[:MAX_TOLD_LOADING]),
            folder_changes=self._folder_changes,
            refused_adapters=self._refused,
            rows_running=residency.rows_running,
            rows_max=min(residency.rows_max, self._held.most_rows),
            load_ms_host=residency.load_ms_host,
            load_ms_disk=residency.load_ms_disk,
            slot_bytes=residency.slot_bytes,
            host_bytes=residency.host_bytes,
            host_room=residency.host_room,
            counters=self._counted(residency),
            load=self.load(),
            emergency=self.emergency,
            pid=os.getpid(),
            trouble=_cut(self.trouble),
            faults=tuple(_cut(fault) for fault in self.faults()),
        )

    def _counted(self, residency: Residency) -> WorkerCounters:
        return self.counters().model_copy(
            update={
                "adapter_rows": residency.adapter_rows,
                "slot_hits": residency.slot_hits,
                "slot_loads": residency.slot_loads,
                "disk_loads": residency.disk_loads,
                "evictions": residency.evictions,
            }
        )


def refused_adapters(broken: Sequence[BrokenEntry]) -> tuple[RefusedAdapter, ...]:
    """The first of the broken folders, cut to what an advert has room for."""
    return tuple(
        RefusedAdapter(name=_cut(entry.name), version=_cut(entry.version), reason=_cut(entry.reason))
        for entry in broken[:MAX_REFUSED_ADAPTERS]
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_REFUSED_CHARACTERS else text[: MAX_REFUSED_CHARACTERS - 1] + "…"
