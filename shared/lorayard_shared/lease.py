"""Keep leases alive from a thread of its own, over a connection of its own (docs/architecture.md, Leases).

A lease is the ack subject of a delivery. The server gives a job out again when its lease was not renewed
for `ack_wait`; a blocked event loop or a long model step must never cause that, so nothing
that other code does can hold up this thread. A loop that is blocked for long is another matter: what its
process holds is answered by nobody, so the leases run out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import nats.errors

from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.delivery import IN_PROGRESS
from lorayard_shared.errors import LeasesLostError, YardError
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.settings import YardSettings

TICKS_PER_RENEWAL = 5
LONGEST_TICK_SECONDS = 0.5
"""However long a lease lasts: what there is to say waits for a tick."""

START_SECONDS = 30.0
LOOK_SECONDS = 1.0
HUNG_SECONDS = 30.0
"""A loop that looks after its keeper each second, and has not for so long, hangs."""


class LeaseKeeper:
    """Renews every lease it was given until it is told to stop. Thread-safe."""

    def __init__(self, settings: YardSettings, *, name: str) -> None:
        self._settings = settings
        self._renew_seconds = settings.renew_seconds
        self._name = name
        self._due: dict[str, float] = {}  # lease -> monotonic time of its next renewal
        self._words: list[tuple[str, bytes, dict[str, str] | None]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wake: Callable[[], object] | None = None
        """Ends the thread's wait for its next tick."""
        self._silent = threading.Event()
        self._looked_at: float | None = None
        """Monotonic; None: no loop looks."""
        self._ready = threading.Event()
        self._failure: YardError | None = None
        self._thread = threading.Thread(target=self._run, name=f"leases-{name}", daemon=True)
        self._log = process_logger(keeper=name)
        self.renewals = 0

    def start(self) -> None:
        """Start the thread and wait until it is connected.

        Raises:
            BusUnavailableError: it cannot connect.
        """
        self._thread.start()
        self._ready.wait(START_SECONDS)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the thread; leases not handed on run out by themselves."""
        self._stopping.set()
        if self._wake is not None:
            with suppress(RuntimeError):  # its loop is closed: it has ended by itself
                self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def hold(self, lease: str) -> None:
        """Renew this lease from now on."""
        with self._lock:
            self._due[lease] = time.monotonic() + self._renew_seconds

    def release(self, lease: str) -> None:
        """Say nothing more on this lease; an unknown one is ignored."""
        with self._lock:
            self._due.pop(lease, None)

    def held(self) -> list[str]:
        """The leases that are renewed."""
        with self._lock:
            return list(self._due)

    def fall_silent(self) -> None:
        """Renew nothing any more, whatever is held from now on: who holds the jobs does not answer them."""
        self._silent.set()

    def say(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Publish a message over this connection, which works while a loop hangs; before the thread ends, if
        the server is there."""
        with self._lock:
            self._words.append((subject, body, headers))

    def __len__(self) -> int:
        with self._lock:
            return len(self._due)

    def alive(self) -> bool:
        """Whether renewals go on."""
        return self._thread.is_alive()

    async def watch(self) -> None:
        """Wait for the thread to die. A process that renews nothing must not go on taking jobs.

        While this runs, its loop must come round at least every `HUNG_SECONDS`: else nothing is renewed.

        Raises:
            LeasesLostError: it has died.
        """
        try:
            while self.alive():
                self._looked_at = time.monotonic()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._looked_at = None
        raise LeasesLostError

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except YardError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        async with await connect(self._settings, name=f"{self._name}-leases") as bus:
            bus.on_reconnect(self._renew_all_soon)
            woken = asyncio.Event()
            self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
            self._ready.set()
            tick = min(self._renew_seconds / TICKS_PER_RENEWAL, LONGEST_TICK_SECONDS)
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(tick):
                        await woken.wait()
                await self._renew_due(bus)
                await self._say_all(bus)
            await self._say_all(bus)

    async def _say_all(self, bus: Bus) -> None:
        if not self._words or not bus.connected:
            return
        with self._lock:
            words, self._words = self._words, []
        for subject, body, headers in words:
            with suppress(nats.errors.Error):
                await bus.nc.publish(subject, body, headers=headers)
        with suppress(nats.errors.Error, TimeoutError):
            await bus.nc.flush()

    async def _renew_due(self, bus: Bus) -> None:
        now, looked_at = time.monotonic(), self._looked_at
        hung = looked_at is not None and now - looked_at > HUNG_SECONDS
        if not bus.connected or hung or self._silent.is_set():
            return  # a renewal kept in the send buffer would be late and prove nothing
        with self._lock:
            due = [lease for lease, at in self._due.items() if at <= now]
            for lease in due:
                self._due[lease] = now + self._renew_seconds
        for lease in due:
            # The lease comes due again; the server keeps it for two more renewals.
            with suppress(nats.errors.Error):
                await bus.nc.publish(lease, IN_PROGRESS)
        self.renewals += len(due)

    async def _renew_all_soon(self) -> None:
        # Leases survive a server restart, but their clock ran meanwhile.
        now = time.monotonic()
        with self._lock:
            for lease in self._due:
                self._due[lease] = now
        self._log.debug(Event.BUS_RECONNECTED, leases=len(self._due))
