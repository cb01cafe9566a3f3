"""How soon each part works again after the bus was gone for a second.

The time counts from when the server takes connections again. Who is asked had its connection before: a
publisher's next submit, a dispatcher's next decision, a worker's result of a row that ended meanwhile, the
end of a stream that was being read, a watch's next change. (A job that was just being given out when the
server died is not waited for: its lease has to run out first, `LORAYARD_ACK_WAIT_SECONDS`.)
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import nats.errors
import nats.js.errors

from lorayard import Client, JobHandle, LorayardError
from lorayard_cli.bench.bus_sides.latencies import TENANT, running_job
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_cli.embedded.plan import BUS
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.process import end_tasks

RESTARTS: Final = 3
PARTS: Final = ("publisher", "dispatcher", "worker", "stream", "watch")
LIMIT_SECONDS: Final = 20.0
"""Of one part: longer is a fault, and reads as so long."""
TRY_SECONDS: Final = 0.01
KEY: Final = "bench.recovery"
"""In the bucket of sessions, where nobody asks for it."""


@dataclass(slots=True)
class Outage:
    """One of them, and who is waited for."""

    yard: EmbeddedYard
    client: Client
    bus: Bus
    back: float = 0.0
    """Monotonic, when the server took connections again."""

    async def seconds(self) -> dict[str, float]:
        """By part."""
        changed = asyncio.Event()
        watch = BucketWatch(
            self.bus, self.bus.subjects.bucket("sessions"), lambda key, value: _note(key, value, changed)
        )
        watching = asyncio.create_task(watch.run(), name="bench-watch")
        held = asyncio.create_task(running_job(self.client), name="bench-job")
        reading: asyncio.Task[None] | None = None
        try:
            await watch.ready.wait()
            streamed = await running_job(self.client)
            job = await held
            reading = asyncio.create_task(_read(streamed), name="bench-stream")
            await self._restart()
            async with await connect(self.yard.settings, name="bench-probe") as probe:
                waits = {
                    "publisher": self._publish(),
                    "dispatcher": self._decided(probe),
                    "worker": self._stored(probe, job),
                    "stream": _done(reading),
                    "watch": self._changed(probe, changed),
                }
                seconds = await asyncio.gather(*(self._timed(wait) for wait in waits.values()))
            return dict(zip(waits, seconds, strict=True))
        finally:
            await end_tasks([task for task in (watching, held, reading) if task is not None])

    async def _restart(self) -> None:
        pid = self.yard.pids[BUS]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while self.yard.pids[BUS] in (pid, None):  # noqa: ASYNC110  # the supervisor tells only when asked
            await asyncio.sleep(TRY_SECONDS)
        async with await connect_when_up(self.yard.settings, name="bench-back"):
            self.back = time.monotonic()

    async def _timed(self, wait: Awaitable[object]) -> float:
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_SECONDS):
                await wait
        return time.monotonic() - self.back

    async def _publish(self) -> None:
        while True:
            try:
                await self.client.submit("x")
            except LorayardError:
                await asyncio.sleep(TRY_SECONDS)
            else:
                return

    async def _decided(self, probe: Bus) -> None:
        """A job that a fresh connection published is given to a worker."""
        decided = asyncio.Event()
        subjects = probe.subjects
        heard = await probe.nc.subscribe(f"{subjects.prefix}.audit.decision.>", cb=_setter(decided))
        await probe.nc.flush()
        async with Client(settings=self.yard.settings, tenant=TENANT, name="bench-probe") as fresh:
            await _until_done(lambda: fresh.submit("x"))
            await decided.wait()
        await heard.unsubscribe()

    async def _stored(self, probe: Bus, held: JobHandle) -> None:
        stream = probe.subjects.stream("results")
        subject = probe.subjects.result(TENANT, held.id)
        await _until_done(lambda: probe.js.get_last_msg(stream, subject, direct=True))

    async def _changed(self, probe: Bus, changed: asyncio.Event) -> None:
        bucket = await probe.js.key_value(probe.subjects.bucket("sessions"))
        await _until_done(lambda: bucket.put(KEY, str(time.time()).encode()))
        await changed.wait()


async def recovery_seconds(yard: EmbeddedYard, client: Client, bus: Bus) -> dict[str, list[float]]:
    """By part, for each restart."""
    seen: dict[str, list[float]] = {part: [] for part in PARTS}
    for _ in range(RESTARTS):
        for part, seconds in (await Outage(yard=yard, client=client, bus=bus).seconds()).items():
            seen[part].append(seconds)
    return seen


async def _read(handle: JobHandle) -> None:
    async for _ in handle.events():
        pass


async def _done(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


async def _until_done(ask: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await ask()
        except (LorayardError, nats.errors.Error, nats.js.errors.Error):
            await asyncio.sleep(TRY_SECONDS)
        else:
            return


def _note(key: str, value: bytes | None, changed: asyncio.Event) -> None:
    if key == KEY and value is not None:
        changed.set()


def _setter(event: asyncio.Event) -> Callable[[object], Awaitable[None]]:
    async def heard(_message: object) -> None:
        event.set()

    return heard
