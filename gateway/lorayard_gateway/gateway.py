"""One gateway: its connection, what it has heard of the yard, and what is under way in it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import structlog
from starlette.requests import Request

from lorayard import Client
from lorayard.errors import BusUnavailableError
from lorayard.view.service import SnapshotService
from lorayard_gateway.batches.book import BatchBook
from lorayard_gateway.batches.runners import BatchRunners
from lorayard_gateway.bodies import Bodies
from lorayard_gateway.catalogue import Catalogue
from lorayard_gateway.errors import host_refused, no_key, wrong_key
from lorayard_gateway.files.room import TenantRoom
from lorayard_gateway.files.store import FileStore
from lorayard_gateway.files.transfers import DOWNLOADS_AT_ONCE, UPLOADS_AT_ONCE, Transfers
from lorayard_gateway.key_ring import KeyRing
from lorayard_gateway.metering import HttpMeter
from lorayard_gateway.page.feed import Feed
from lorayard_gateway.readiness import AWAY
from lorayard_gateway.settings import GatewaySettings, PageMode
from lorayard_gateway.sweeping import sweep_again_and_again
from lorayard_gateway.tenant_clients import TenantClients
from lorayard_schemas.snapshot import SnapshotPart, YardSnapshot
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.metrics.server import MetricsPage
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.process import end_tasks
from lorayard_shared.time_limit import TimeLimit

_SETTLE_SECONDS = 2.0

FRESH_SECONDS = 0.5
"""How old a look at the yard may be for the page, which asks for one each second: what it shows is less than
a second old when it comes, whoever else asks meanwhile."""

_OWN_NAME = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
"""What programs of this machine call it in `Host`; clients of HTTP/1.0, no browsers, may say nothing."""


class Gateway:
    """Keeps nothing that another gateway would need: any number of them may serve one yard."""

    def __init__(self, bus: Bus, settings: GatewaySettings) -> None:
        self.bus = bus
        self.settings = settings
        self.keys = KeyRing()
        self.catalogue = Catalogue()
        self.clients = TenantClients(bus, settings)
        self.log: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(part="gateway")
        self.tasks = OwnedTasks(self.log)
        """What has to be done though its client has gone: cancels."""
        self.bodies = Bodies(settings)
        self.answers = TimeLimit(settings.gateway_answer_seconds)
        """For the answers of a request."""
        self.meter: HttpMeter | None = None
        """Who counts requests for `/metrics`, where that is shown."""
        self.files = FileStore(bus)
        self.room = TenantRoom(self.files, settings.gateway_tenant_file_bytes)
        self.batches = BatchBook(bus)
        self.runners = BatchRunners(bus, settings, self.clients, self.files, self.batches)
        self.uploads = Transfers(UPLOADS_AT_ONCE)
        self.downloads = Transfers(DOWNLOADS_AT_ONCE)
        self.snapshots = SnapshotService(bus)
        """What the yard looks like, for readiness, and for who asks on the bus."""
        self.stopping = False
        """It takes no new connections; answers under way go on for a while."""
        self.feed = Feed(self._snapshot, self.catalogue)
        """What the page shows, where there is one."""
        self._operators: dict[str, TenantClients] = {}
        self._leaving: set[Callable[[], None]] = set()
        self._left = False
        self.watching: list[asyncio.Task[None]] = []
        names = {"keys": self.keys.on_change, "adapters": self.catalogue.on_adapter}
        names["aliases"] = self.catalogue.on_alias
        self._watches = [BucketWatch(bus, bus.subjects.bucket(name), hear) for name, hear in names.items()]
        self._watches.append(self.batches.watch)

    def metrics(self) -> MetricsPage:
        """What it shows of itself; from here on requests are counted for that."""
        self.meter = HttpMeter()
        return self.meter.page(self.bus, self.faults)

    async def start(self) -> None:
        """Know keys and models; returns once it does."""
        self.watching = [asyncio.create_task(watch.run(), name="gateway-watch") for watch in self._watches]
        sweeping = sweep_again_and_again(
            self.files, self.batches, self.log, keep_seconds=self.settings.gateway_file_seconds
        )
        self.watching.append(asyncio.create_task(sweeping, name="gateway-sweep"))
        for watch in self._watches:
            await watch.ready.wait()
        self.watching.append(asyncio.create_task(self.runners.run(), name="gateway-batches"))
        if self.settings.gateway_page is not PageMode.OFF:
            self.watching.append(asyncio.create_task(self.feed.run(), name="gateway-page"))

    async def close(self) -> None:
        """Cancels that are under way end first."""
        await _settle(self.tasks)
        await end_tasks(self.watching)
        for clients in (self.clients, *self._operators.values()):
            await clients.close()

    def tenant(self, request: Request) -> str:
        """Whose request it is.

        Raises:
            ApiError: nobody's.
        """
        if not self.settings.gateway_keys:
            if not self._is_local(request):
                raise host_refused()
            return self.settings.tenant
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise no_key()
        tenant = self.keys.tenant_of(key.strip(), time.time())
        if tenant is None:
            raise wrong_key()
        return tenant

    async def client(self, tenant: str) -> Client:
        """The tenant's client.

        Raises:
            BusUnavailableError: the bus is away: better to say so at once than to wait for it.
        """
        self.check_bus()
        return await self.clients.of(tenant)

    def faults(self) -> tuple[str, ...]:
        """What makes no progress in it, in sentences."""
        if not self.bus.connected:
            return (AWAY,)
        return tuple(f"it does not hear what changes in {name}" for name in self.unheard())

    def unheard(self) -> list[str]:
        """Buckets that it does not know, or whose changes it does not hear."""
        return [watch.bucket for watch in self._watches if watch.blind or not watch.ready.is_set()]

    async def operator(self, actor: str, tenant: str) -> Client:
        """A client that changes things in the name of somebody at the page.

        Raises:
            BusUnavailableError: the bus is away.
        """
        self.check_bus()
        clients = self._operators.get(actor)
        if clients is None:
            settings = self.settings.model_copy(update={"actor": actor})
            clients = self._operators[actor] = TenantClients(self.bus, settings)
        return await clients.of(tenant)

    def on_leave(self, leave: Callable[[], None]) -> None:
        """Have something told when answers under way are waited for no longer."""
        if self._left:
            leave()
        self._leaving.add(leave)

    def no_leave(self, leave: Callable[[], None]) -> None:
        """It has ended by itself."""
        self._leaving.discard(leave)

    def leave(self) -> None:
        """Tell everything that is still under way that it is waited for no longer."""
        self._left = True
        for leave in list(self._leaving):
            leave()

    def is_named_locally(self, request: Request) -> bool:
        """Whether it was called as programs of this machine call it, and not by a name of somebody's page."""
        host = request.headers.get("host")
        return host is None or _OWN_NAME.fullmatch(host) is not None

    def _is_local(self, request: Request) -> bool:
        # A page that a browser shows can reach 127.0.0.1 too: by its own name for it, or with an Origin.
        origin = request.headers.get("origin")
        return self.is_named_locally(request) and (origin is None or origin in self.settings.origins)

    def check_bus(self) -> None:
        """Better to say at once that the bus is away than to wait for it.

        Raises:
            BusUnavailableError: it is.
        """
        if not self.bus.connected:
            reason = "the connection is lost, trying to get it back"
            raise BusUnavailableError(url=self.settings.url, reason=reason)

    async def _snapshot(self) -> YardSnapshot:
        self.check_bus()
        return await self.snapshots.looks.snapshot(frozenset(SnapshotPart), older_seconds=FRESH_SECONDS)


async def _settle(tasks: OwnedTasks) -> None:
    try:
        async with asyncio.timeout(_SETTLE_SECONDS):
            await tasks.settle()
    except TimeoutError:
        await tasks.end()
