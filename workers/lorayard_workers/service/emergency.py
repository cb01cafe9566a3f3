"""Pull jobs without a dispatcher, while none lives (A3, B6, G1).

The consumers are opened to everybody (`bus.priority`); the idlest worker is served first. Which adapter the
next job wants is not known before it is pulled: so a worker that pulls one for which another is warm hands it
on (`emergency_intake`). Nothing is planned: no fairness, no bounds on waiting, no replicas. As soon as a
dispatcher is heard of, pulling ends; what was taken is finished here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

import nats.errors
import structlog

from lorayard_schemas.job import Lane
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.declare import CONSUMER_NOT_FOUND
from lorayard_shared.bus.priority import serve_by_priority
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.restore import restore
from lorayard_shared.bus.topology import CHECK_DELAYED, PIN_GROUP, ConsumerDeclaration, topology
from lorayard_shared.bus.watch import BucketWatch, Change
from lorayard_shared.errors import BusDeclarationError
from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks, run_until
from lorayard_shared.registry.semantic_watch import SemanticWatch
from lorayard_workers.service.dispatchers import Dispatchers
from lorayard_workers.service.emergency_intake import EmergencyIntake
from lorayard_workers.service.presence import Presence
from lorayard_workers.service.watches import watch_from_worker

LOOK_SECONDS = 0.5
OPEN_AGAIN_SECONDS = 5.0
"""Between looks whether the consumers are still open: somebody may have declared them anew."""
SHARE = 4
"""A pull asks for so small a part of the room: there is one per lane, and together they must not take much
more than the room; what is taken beyond waits here, though a row may be free elsewhere."""
LAST_PRIORITY = 9
"""The server knows 0 to 9; 0 is for a dispatcher that is back."""


class Emergency:
    """Begins and ends the pulling of one worker."""

    def __init__(
        self,
        bus: Bus,
        presence: Presence,
        intake: EmergencyIntake,
        *,
        capacity: int,
        after_seconds: float,
        enabled: bool,
    ) -> None:
        self._bus = bus
        self._presence = presence
        self._intake = intake
        self.answers = intake.answers
        self._capacity = capacity
        self._after_seconds = after_seconds
        self._enabled = enabled
        self._dispatchers = Dispatchers(bus, clock=time.monotonic)
        self._consumers = [one for one in topology(bus.settings).consumers if one.name != CHECK_DELAYED]
        self._pullers = [self._puller(consumer) for consumer in self._consumers]
        self._running: list[asyncio.Task[None]] = []
        self._open_at = 0.0
        self._log = structlog.get_logger().bind(worker=presence.worker)

    async def run(self) -> None:
        """Watch, pull and stop pulling, until cancelled; what was pulled is in order then.

        A failure of any part of it is its own: a worker that pulls no more must not look as if it did.
        """
        if not self._enabled:
            await asyncio.Event().wait()
        parts = {"watch-dispatchers": self._dispatchers.run(), "emergency-looks": self._looks()}
        running = [asyncio.create_task(part, name=name) for name, part in parts.items()]
        try:
            await run_until(asyncio.Event(), running)
        finally:
            await end_tasks(running)
            await self._end()

    async def _looks(self) -> None:
        while True:
            self._dispatchers.changed.clear()
            await self._look()
            if self._running:
                self._intake.look()
            for task in self._running:
                if task.done():
                    task.result()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._dispatchers.changed.wait()

    def nudge(self) -> None:
        """There may be room again."""
        for puller in self._pullers:
            puller.nudge()

    async def _look(self) -> None:
        wanted = self._presence.takes_jobs and self._dispatchers.none_for() >= self._after_seconds
        if wanted and time.monotonic() >= self._open_at:
            self._open_at = time.monotonic() + OPEN_AGAIN_SECONDS
            await self._open()
        if wanted and not self._running:
            await self._begin()
        elif self._running and not wanted:
            await self._end()

    async def _open(self) -> None:
        for consumer in self._consumers:
            if self._dispatchers.none_for() > 0:  # one may be back meanwhile
                # Where it fails it is tried again; until then few are served.
                with suppress(ApiError, nats.errors.Error, BusDeclarationError):
                    await self._open_one(consumer)

    async def _open_one(self, consumer: ConsumerDeclaration) -> None:
        try:
            await serve_by_priority(self._bus, consumer)
        except ApiError as error:
            if error.code != CONSUMER_NOT_FOUND:
                raise
            await restore(self._bus, topology(self._bus.settings))  # somebody has deleted it
            await serve_by_priority(self._bus, consumer)

    async def _begin(self) -> None:
        self._log.warning(
            Event.EMERGENCY_BEGAN,
            reason="no dispatcher lives: this worker pulls jobs by itself",
            mend="start one: lorayard dispatcher",
        )
        self._intake.begin(self._dispatchers.default_adapter)
        watches = self._watches()
        self._running = [
            asyncio.create_task(watch.run(), name="watch-for-pulls") for watch in watches.values()
        ]
        semantic = self._intake.semantic
        self._running.append(asyncio.create_task(semantic.run(), name="classifier"))
        listed = asyncio.create_task(_known(watches.values(), semantic), name="first-listing")
        try:
            await run_until(asyncio.Event(), [*self._running, listed])
        finally:
            await end_tasks([listed])
        self._intake.listed([watches[kind] for kind in ("adapters", "aliases")])
        self._running += [asyncio.create_task(puller.run(), name="pulls") for puller in self._pullers]
        await self._intake.cancels.begin()
        self._show(pulling=True)

    def _watches(self) -> Mapping[str, BucketWatch]:
        changes: dict[str, Change] = {
            "adapters": self._intake.on_adapter,
            "aliases": self._intake.on_alias,
            "rules": self._intake.on_rules,
            "control": self._intake.on_control,
            "placements": self._intake.on_placement,
            "workers": self._intake.on_peer,
        }
        return {kind: watch_from_worker(self._bus, kind, change) for kind, change in changes.items()}

    async def _end(self) -> None:
        if not self._running:
            return
        self._intake.ends()
        await self._intake.cancels.end()
        running, self._running = self._running, []
        await end_tasks(running)
        await self._intake.settle()
        self._show(pulling=False)
        self._log.warning(Event.EMERGENCY_ENDED, taken=self._intake.taken, handed_on=self._intake.handed_on)

    def _show(self, *, pulling: bool) -> None:
        self._presence.emergency = pulling
        self._presence.changed()

    def _puller(self, consumer: ConsumerDeclaration) -> Puller:
        return Puller(
            self._bus,
            stream=consumer.stream,
            consumer=consumer.name,
            group=PIN_GROUP,
            room=partial(self._room, consumer.lane),
            on_message=self._intake.on_message,
            priority=self._priority,
        )

    def _room(self, lane: Lane | None) -> int:
        if lane is not None and self._intake.controls.paused_lane(lane) is not None:
            return 0
        room = self._intake.room
        return -(-room // max(SHARE, len(self._pullers))) if self._presence.takes_jobs else 0

    def _priority(self) -> int:
        """1 for a worker with nothing to do, up to the last for one that is nearly full."""
        busy = 1.0 - self._intake.room / self._capacity
        return 1 + min(LAST_PRIORITY - 1, int(busy * LAST_PRIORITY))


async def _known(watches: Iterable[BucketWatch], semantic: SemanticWatch) -> None:
    for watch in watches:
        await watch.ready.wait()
    await semantic.ready()
