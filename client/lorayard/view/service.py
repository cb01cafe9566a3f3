"""Answers what a yard looks like, on the bus, for whichever process hosts it: gateway, exporter, `up`.

All hosts of a yard are one queue group: each question goes to one of them. A host that nobody asks looks at
the workers alone, every few seconds: one that dies meanwhile shall be known to be lost, not unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import nats.errors
import structlog
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from lorayard.errors import LorayardError
from lorayard.view.asking import VERB, trimmed
from lorayard.view.fitting import fitted
from lorayard.view.host_health import HostHealth
from lorayard.view.looks import Looks
from lorayard.view.reader import SnapshotReader
from lorayard.view.traffic import Traffic
from lorayard_schemas.snapshot import AskSnapshot, SnapshotPart, YardSnapshot
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.service import end_service, read_request
from lorayard_shared.owned_tasks import OwnedTasks

WATCH_SECONDS = 5.0
"""Between two looks at the workers. Each worker that dies leaves a mark for ten minutes; for 10 s only where
the yard is of an earlier release, and was not mended."""

SERVICE_VERSION = "1.0.0"


class SnapshotService:
    """One host's answers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._traffic = Traffic(bus)
        self.looks = Looks(SnapshotReader(bus, traffic=self._traffic.table))
        """For who asks in the same process."""
        self._tasks = OwnedTasks(structlog.get_logger().bind(part="snapshot"))
        self._encoded: tuple[int, frozenset[SnapshotPart], bytes] | None = None

    def start(self) -> None:
        """Begin what goes on beside the answers."""
        self._tasks.spawn(self._traffic.run(), "snapshot-traffic")
        self._tasks.spawn(self._watch(), "snapshot-watch")

    async def close(self) -> None:
        """Give up what is under way."""
        await self._tasks.end()

    async def _watch(self) -> None:
        while True:
            with suppress(ApiError, nats.errors.Error):  # the next look sees it
                await self.looks.look_at_workers()
            await asyncio.sleep(WATCH_SECONDS)

    async def answer(self, request: Request) -> None:
        """Handle one question."""
        wish = await read_request(AskSnapshot, request) if request.data else AskSnapshot()
        if wish is not None:
            # As a task of its own: an endpoint takes one request at a time, and a look takes a while.
            self._tasks.spawn(self._answer(request, wish), "snapshot")

    async def _answer(self, request: Request, wish: AskSnapshot) -> None:
        parts = frozenset(wish.parts)
        try:
            found = await self.looks.snapshot(parts, older_seconds=wish.older_seconds)
        except (LorayardError, ApiError, nats.errors.Error) as error:
            reason = str(error) or type(error).__name__
            with suppress(nats.errors.Error):
                await request.respond_error(code="503", description=reason)
            return
        with suppress(nats.errors.Error):
            try:
                await request.respond(self._encode(found, parts))
            except nats.errors.MaxPayloadError:  # who asks reads it instead, and need not wait for that
                await request.respond_error(code="413", description="it has no room in a message")

    def _encode(self, found: YardSnapshot, parts: frozenset[SnapshotPart]) -> bytes:
        """Made once for all who ask for the same."""
        known = self._encoded
        if known is None or known[:2] != (found.sequence, parts):
            body = fitted(trimmed(found, parts), self._bus.nc.max_payload)
            known = self._encoded = (found.sequence, parts, body)
        return known[2]


@asynccontextmanager
async def snapshots_served(
    bus: Bus,
    *,
    host: str,
    serving: SnapshotService | None = None,
    faults: Callable[[], tuple[str, ...]] = tuple,
) -> AsyncGenerator[SnapshotService]:
    """Answer while the body runs; `host` is what kind of process does, `serving` what it has already, and
    `faults` tells what makes no progress in it, in sentences."""
    serving = serving or SnapshotService(bus)
    health = HostHealth(host, faults)
    config = ServiceConfig(
        name="lorayard-snapshot",
        version=SERVICE_VERSION,
        description="Tells what a yard looks like, and what is wrong with it",
        metadata={"host": host},
    )
    service = Service(bus.nc, config)
    try:  # also where it does not come to that: nothing of it stays behind
        await service.start()
        subject = bus.subjects.service(VERB)
        await service.add_endpoint(EndpointConfig(name=VERB, subject=subject, handler=serving.answer))
        await service.add_endpoint(health.endpoint(bus))
        serving.start()
        # From here on whoever asks is answered; after a loss a little later.
        with suppress(nats.errors.Error):
            await bus.nc.flush(2)
        yield serving
    finally:
        await end_service(bus, service)
        await health.leave()
        await serving.close()
