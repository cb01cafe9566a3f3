"""Reads a yard from the bus alone, and makes a snapshot of it.

One reader keeps what it has read, so that its next look costs little, and knows who is gone. No process of
ours has to live: what only dispatchers know is left out where none answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from lorayard.errors import YardNotReadyError
from lorayard.version import __version__
from lorayard.view.adapter_rows import adapter_rows
from lorayard.view.buckets import Buckets
from lorayard.view.depths import Ages, read_depth
from lorayard.view.dispatchers import Dispatchers
from lorayard.view.fleet import Fleet
from lorayard.view.hosts import Hosts
from lorayard.view.rates import Meters
from lorayard.view.rows import (
    batch_rows,
    names_by_digest,
    overview,
    queue_rows,
    wait_rows,
    worker_rows,
)
from lorayard.view.streams import Streams
from lorayard.view.troubles import troubles
from lorayard.view.yard_state import YardState
from lorayard_schemas.snapshot import (
    MAX_ADAPTERS,
    MAX_QUEUES,
    MAX_WORKERS,
    AdapterTraffic,
    SnapshotPart,
    YardSnapshot,
)
from lorayard_shared.bus.connection import Bus

DEAD_SECONDS = 300.0
"""Dead letters of the last five minutes are trouble, older ones are history."""

ALL = frozenset(SnapshotPart)


class SnapshotReader:
    """One yard, over one connection. Looks must not overlap: `Looks` sees to it."""

    def __init__(self, bus: Bus, *, traffic: Callable[[], Mapping[str, AdapterTraffic]] = dict) -> None:
        """`traffic` tells that of each `name@version`, where somebody hears results."""
        self._bus, self._traffic = bus, traffic
        self.buckets = Buckets(bus)
        self.fleet = Fleet()
        self._dispatchers, self._streams, self._hosts = Dispatchers(bus), Streams(bus), Hosts(bus)
        self._ages, self._meters = Ages(bus), Meters()
        self._sequence = 0
        self._reconnects, self._heard_from = bus.reconnects, 0.0
        self._dead: list[tuple[float, int]] = []

    async def look_at_workers(self) -> None:
        """Only who is there: what was not seen to go is not known to be lost.

        Raises:
            ApiError: the server refused.
            nats.errors.Error: no answer.
        """
        await self.buckets.workers.look()
        self._see_fleet(self.buckets.workers.server_now)

    async def read(self, parts: frozenset[SnapshotPart] = ALL) -> YardSnapshot:
        """The yard now.

        Raises:
            YardNotReadyError: there is no yard.
            ApiError: the server refused.
            nats.errors.Error: no answer.
        """
        began = time.monotonic()
        state = await self._look(parts)
        self._sequence += 1
        return self._made(state, parts, began)

    async def _look(self, parts: frozenset[SnapshotPart]) -> YardState:
        now = time.monotonic()
        depth, _, _, _ = await asyncio.gather(
            read_depth(self._bus), self.buckets.look(parts), self._streams.look(now), self._hosts.ask(now)
        )
        own_now = time.time()
        missing = (*depth.missing, *self.buckets.missing)
        if self.buckets.workers.missing and self._bus.subjects.stream("jobs") in missing:
            raise YardNotReadyError(prefix=self._bus.subjects.prefix, missing=missing[0])
        server_now = max(depth.server_now, self.buckets.server_now)
        living = self.buckets.living
        statuses, _ = await asyncio.gather(
            self._dispatchers.ask((one.dispatcher for one in living), now), self._ages.look(depth)
        )
        self._see_fleet(server_now)
        seen = tuple(worker for _, worker in sorted(self.fleet.workers.items()))
        rates = self._meters.look(now, depth.ended, (one.advert for one in seen if one.advert is not None))
        dead_before, dead_seconds = self._dead_before(now, depth.dead)
        settings, buckets = self._bus.settings, self.buckets
        return YardState(
            now=server_now,
            own_now=own_now,
            depth=depth,
            lane_ages=self._ages.lanes,
            queue_ages=self._ages.queues,
            workers=seen,
            adapters=buckets.adapters,
            aliases=buckets.aliases,
            placements=buckets.placements,
            strikes=buckets.strikes,
            pauses=buckets.pauses(server_now),
            caps=buckets.caps,
            batches=buckets.batches,
            living=living,
            seats=buckets.seats,
            partitions=settings.partitions,
            dispatchers=statuses,
            silent_dispatchers=self._dispatchers.silent,
            silent_hosts=self._hosts.silent,
            unready_hosts=self._hosts.unready,
            streams=self._streams.streams,
            missing=tuple(dict.fromkeys((*self._streams.missing, *missing))),
            consumers=self._streams.consumers,
            window=settings.window,
            unreadable=buckets.unreadable,
            traffic=self._traffic() if SnapshotPart.ADAPTERS in parts else {},
            rates=rates,
            dead_before=dead_before,
            dead_seconds=dead_seconds,
        )

    def _see_fleet(self, server_now: float) -> None:
        if self._bus.reconnects != self._reconnects:
            # Nobody could tell anything meanwhile: silence counts from here.
            self._reconnects, self._heard_from = self._bus.reconnects, server_now
        self.fleet.look(self.buckets.workers.entries, server_now, heard_from=self._heard_from)

    def _dead_before(self, now: float, dead: int) -> tuple[int | None, float]:
        """Dead letters at the oldest look of the last minutes, and how long ago that was."""
        if not self._dead or now - self._dead[-1][0] >= DEAD_SECONDS / 10:
            self._dead.append((now, dead))
        self._dead = [one for one in self._dead if now - one[0] <= DEAD_SECONDS]
        at, before = self._dead[0] if self._dead else (now, dead)
        return (before, now - at) if now > at else (None, 0.0)

    def _made(self, state: YardState, parts: frozenset[SnapshotPart], began: float) -> YardSnapshot:
        queues = queue_rows(state) if SnapshotPart.QUEUES in parts else []
        adapters = adapter_rows(state) if SnapshotPart.ADAPTERS in parts else []
        workers = worker_rows(state, names_by_digest(state.adapters)) if SnapshotPart.WORKERS in parts else []
        holds = SnapshotPart.HOLDS in parts
        batches = state.batches if SnapshotPart.BATCHES in parts else ()
        return YardSnapshot.model_construct(
            prefix=self._bus.settings.prefix,
            url=self._bus.settings.shown_url,
            release=__version__,
            sequence=self._sequence,
            at=state.own_now,
            overview=overview(state),
            troubles=troubles(state),
            dispatchers=state.dispatchers,
            waits=wait_rows(state.dispatchers),
            queues=tuple(queues[:MAX_QUEUES]),
            queues_left_out=len(queues[MAX_QUEUES:]),
            adapters=tuple(adapters[:MAX_ADAPTERS]),
            adapters_left_out=len(adapters[MAX_ADAPTERS:]),
            workers=tuple(workers[:MAX_WORKERS]),
            workers_left_out=len(workers[MAX_WORKERS:]),
            strikes=state.strikes if holds else (),
            pauses=state.pauses if holds else (),
            caps=state.caps if holds else (),
            batches=batch_rows(batches, state.now),
            took_ms=1000 * (time.monotonic() - began),
        )
