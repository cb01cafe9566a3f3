"""What one gateway runs of the yard's batches: it takes those that nobody has, as many as it may at once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import nats.errors
import structlog

from lorayard.errors import LorayardError
from lorayard_gateway.batches.book import BatchBook
from lorayard_gateway.batches.errors import RunLostError
from lorayard_gateway.batches.folder import WorkFolder
from lorayard_gateway.batches.leases import Lease, Leases
from lorayard_gateway.batches.run import BatchRun, Tools
from lorayard_gateway.files.store import FileStore
from lorayard_gateway.settings import GatewaySettings
from lorayard_gateway.tenant_clients import TenantClients
from lorayard_schemas.batch_record import BatchRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks

LOOK_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before a batch that could not go on is taken up here again; others may take it meanwhile."""


def next_up(
    waiting: Sequence[BatchRecord], running: Mapping[str, str], paused: Collection[str]
) -> list[BatchRecord]:
    """In which order batches are tried: tenants with few running here first, then the oldest.

    `running` has the tenant of each that runs here. What is tried before counts as running, so that of two
    tenants none has all places.
    """
    busy = Counter(running.values())
    ranked: list[tuple[int, BatchRecord]] = []
    for one in sorted(waiting, key=lambda record: record.created_at):
        if one.id not in running and one.id not in paused:
            ranked.append((busy[one.tenant], one))
            busy[one.tenant] += 1
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


class BatchRunners:
    """All runs of one gateway."""

    def __init__(
        self, bus: Bus, settings: GatewaySettings, clients: TenantClients, files: FileStore, book: BatchBook
    ) -> None:
        self._bus, self._settings = bus, settings
        self._clients, self._files, self._book = clients, files, book
        self._leases = Leases(bus, secrets.token_hex(8))
        self._folder = WorkFolder(settings.gateway_batches_dir)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tenants: dict[str, str] = {}
        self._paused: dict[str, tuple[float, float]] = {}
        """Batch -> until when, monotonic seconds, and how long that was."""
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(part="gateway")

    async def run(self) -> None:
        """Until cancelled: then leases are given back, and the jobs go on."""
        if not self._settings.gateway_batches_at_once:
            await asyncio.Event().wait()
        try:
            while True:
                self._book.stirred.clear()
                if self._bus.connected:
                    with suppress(nats.errors.Error):  # the next look tries again
                        await self._take()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._book.stirred.wait()
        finally:
            await end_tasks(self._running.values())
            await asyncio.to_thread(self._folder.close)

    async def _take(self) -> None:
        waiting = self._book.open
        there = {record.id for record in waiting}
        self._leases.keep_in_mind(there)
        self._paused = {batch: pause for batch, pause in self._paused.items() if batch in there}
        now = time.monotonic()
        paused = {batch for batch, (until, _) in self._paused.items() if now < until}
        for record in next_up(waiting, self._tenants, paused):
            if len(self._running) >= self._settings.gateway_batches_at_once:
                return
            lease = await self._leases.take(record.id)
            if lease is not None:
                self._begin(record, lease)

    def _begin(self, record: BatchRecord, lease: Lease) -> None:
        self._log.info(Event.BATCH_TAKEN, batch=record.id, status=record.status)
        self._tenants[record.id] = record.tenant
        self._running[record.id] = asyncio.create_task(self._guard(record, lease), name=record.id)

    async def _guard(self, record: BatchRecord, lease: Lease) -> None:
        try:
            ended = await self._held(record, lease)
        except RunLostError:
            self._log.info(Event.BATCH_STOPPED, batch=record.id, reason="another gateway has it")
        except (LorayardError, nats.errors.Error, OSError) as error:
            reason = str(error) or type(error).__name__
            self._log.warning(Event.BATCH_STOPPED, batch=record.id, reason=reason)
            self._pause(record.id)
        except Exception:  # noqa: BLE001  # one batch's fault must not end the others
            self._log.exception(Event.LOOP_FAILED, task=record.id)
            self._pause(record.id)
        else:
            self._paused.pop(record.id, None)
            self._log.info(Event.BATCH_ENDED, batch=record.id, status=ended.status)
        finally:
            await lease.release()
            del self._running[record.id], self._tenants[record.id]
            self._book.stirred.set()

    async def _held(self, record: BatchRecord, lease: Lease) -> BatchRecord:
        """Run it while the lease is ours."""
        folder = await asyncio.to_thread(self._folder.batch, record.id)
        tools = Tools(
            yard=await self._clients.of(record.tenant),
            files=self._files,
            book=self._book,
            settings=self._settings,
        )
        working = asyncio.create_task(BatchRun(tools, record, folder).run(), name=f"work-{record.id}")
        keeping = asyncio.create_task(lease.keep(), name=f"lease-{record.id}")
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                keeping.result()
            return working.result()
        finally:
            await end_tasks([working, keeping])
            await asyncio.to_thread(self._folder.drop, folder)

    def _pause(self, batch: str) -> None:
        _, before = self._paused.get(batch, (0.0, FIRST_PAUSE_SECONDS / 2))
        seconds = min(2 * before, LONGEST_PAUSE_SECONDS)
        self._paused[batch] = (time.monotonic() + seconds, seconds)
