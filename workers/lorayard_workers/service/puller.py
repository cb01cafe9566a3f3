"""Fetches adapters from the store onto this machine's disk, beside the work of the worker.

In a thread with an event loop and a connection of its own: megabytes that come in hold up neither the
worker's loop and its leases, nor the engine. The thread and the connection begin with the first adapter.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TypeVar

import structlog

from lorayard_schemas.adapter import AdapterRecord
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.logs import Event
from lorayard_shared.registry.blobs import BlobStore
from lorayard_workers.adapters.limits import AdapterLimits
from lorayard_workers.adapters.pulled_folder import Claim, PulledFolder
from lorayard_workers.settings import WorkerSettings

T = TypeVar("T")

ADAPTERS_AT_ONCE = 2
"""Each with several parts under way: a small one need not wait for a large one."""

ANOTHER_SECONDS = 0.1
"""Between two looks whether another worker of this machine has fetched it."""

END_SECONDS = 5.0


class Puller:
    """Owns the thread; see the module docstring."""

    def __init__(self, settings: WorkerSettings, folder: PulledFolder, limits: AdapterLimits) -> None:
        self._settings = settings
        self._folder = folder
        self._limits = limits
        self._log = structlog.get_logger().bind(worker=settings.name)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._bus: Bus | None = None

    async def pull(self, record: AdapterRecord) -> None:
        """Bring an adapter's files onto the disk, and hold them there; they are judged before they show.

        Raises:
            FileMissingError: the store lacks them, or has other bytes.
            AdapterRefusedError, CapacityError: they cannot be served here, or have no room.
            BusUnavailableError, nats.errors.Error, OSError: not now.
        """
        if self._thread is None:
            self._start()
        work = asyncio.run_coroutine_threadsafe(self._pull(record), self._loop)
        await asyncio.wrap_future(work)

    def stop(self) -> None:
        """End what is under way; what was fetched is kept for the next worker."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(END_SECONDS)

    def _start(self) -> None:
        # A daemon: a disk that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name="adapter-puller", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.run(self._main())  # it cancels what is left when the main part ends

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._limit = asyncio.Semaphore(ADAPTERS_AT_ONCE)
        self._connecting = asyncio.Lock()
        self._ready.set()  # the worker's loop waits for it; what is asked for now comes behind the cleaning
        self._folder.clean(time.time())
        try:
            await self._stop.wait()
        finally:
            bus, self._bus = self._bus, None
            if bus is not None:
                await bus.close()

    async def _pull(self, record: AdapterRecord) -> None:
        async with self._limit:
            claim = await self._claim(record.digest)
            if claim is None:
                return
            try:
                await self._fill(record, claim)
            except BaseException:
                self._folder.give_up(claim)
                raise
            there = {file.name for file in record.files}
            if not await asyncio.to_thread(self._folder.settle, claim, there):
                raise OSError(f"adapter {record.label} was removed from {self._folder.root} as it came")

    async def _claim(self, digest: str) -> Claim | None:
        """The right to fetch it; None: it is here, and held. Another worker may be at it just now."""
        while True:
            if self._folder.hold(digest):
                return None
            claim = self._folder.claim(digest)
            if claim is None:
                await asyncio.sleep(ANOTHER_SECONDS)
            elif self._folder.place(digest).is_dir():  # come between the two
                self._folder.give_up(claim)
            else:
                return claim

    async def _fill(self, record: AdapterRecord, claim: Claim) -> None:
        started = time.perf_counter()
        size = sum(file.size_bytes for file in record.files)
        await asyncio.to_thread(self._folder.make_room, claim, size)
        store = BlobStore(await self._connected())
        for file in record.files:
            await store.fetch(file, claim.incoming / file.name)
        try:
            await asyncio.to_thread(
                self._limits.judge, claim.incoming, digest=record.digest, max_bytes=record.size_bytes
            )
        except Exception:  # whatever it was: what was not judged is not kept
            await asyncio.to_thread(self._folder.clear, claim)
            raise
        took = time.perf_counter() - started
        self._log.info(Event.ADAPTER_PULLED, adapter=record.label, size_bytes=size, seconds=round(took, 3))

    async def _connected(self) -> Bus:
        async with self._connecting:
            if self._bus is None:
                self._bus = await connect(self._settings, name=f"worker-{self._settings.name}-puller")
            return self._bus
