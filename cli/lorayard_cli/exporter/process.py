"""The exporter process: asks the bus at each scrape, and for the ages of queues in between.

It needs no process of ours, and a bus that is away shows as `lorayard_yard_up` 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import nats.errors
import nats.js.errors
import structlog

from lorayard import Client, LorayardError
from lorayard.settings import client_settings
from lorayard.view.service import SnapshotService, snapshots_served
from lorayard_cli.exporter.sight import UNNAMED, Queue, Sight, in_turn
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.seat import DISPATCHER_KEY, SEAT_KEY
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import ApiError, Bus, JsonMap, connect
from lorayard_shared.bus.declare import STREAM_NOT_FOUND
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.logs import Event
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.metric import Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.server import MetricsPage, metrics_served
from lorayard_shared.process import StoppedError, end_tasks, run_until, stop_on_signals, unless_stopped
from lorayard_shared.settings import YardSettings

LOOK_SECONDS = 5.0
"""For a bus that answers slowly: less than a scrape's usual 10 s."""
AGES_SECONDS = 5.0
MOST_AGES = 256
"""Queues whose oldest job is asked for at once: each answer carries a whole job."""
AT_ONCE = 16
RETRY_SECONDS = 1.0
KNOCK_SECONDS = 1.0
"""Between two questions whether the yard answers; with `ANSWER_SECONDS` less than two."""
ANSWER_SECONDS = 0.7
AWAY = "the bus is away"

_TROUBLE = (
    LorayardError,
    ApiError,
    BusUnavailableError,
    nats.errors.Error,
    nats.js.errors.Error,
    TimeoutError,
)


Served = Callable[..., AbstractAsyncContextManager[SnapshotService]]


class Exporter:
    """Looks at one yard's bus."""

    def __init__(self, settings: YardSettings, *, served: Served = snapshots_served) -> None:
        """`served` answers what the yard looks like, as `snapshots_served` does."""
        self._settings, self._served = settings, served
        self._link: tuple[Bus, Client] | None = None
        self._queues: list[Queue] = []
        self._oldest: dict[Queue, float] = {}
        self._last: Queue | None = None
        self._unanswered = ""
        """What keeps it from telling anything; empty: nothing."""

    def page(self) -> MetricsPage:
        """What it shows."""
        return MetricsPage(
            source=Source.EXPORTER,
            name=self._settings.prefix,
            read=self._read,
            answer_seconds=LOOK_SECONDS + 2.0,
            unready=self._unready,
        )

    def _unready(self) -> tuple[str, ...]:
        if self._link is None or not self._link[0].connected:
            return (AWAY,)
        return (self._unanswered,) if self._unanswered else ()

    async def run(self) -> None:
        """Keep a connection, and know ages, until cancelled."""
        async with AsyncExitStack() as held:
            while self._link is None:
                try:
                    self._link = await held.enter_async_context(_linked(self._settings))
                except _TROUBLE:
                    await asyncio.sleep(RETRY_SECONDS)
            bus, _ = self._link
            parts = [
                asyncio.create_task(self._knock(bus), name="exporter-knocks"),
                asyncio.create_task(self._serve(bus), name="exporter-snapshots"),
                asyncio.create_task(self._know_ages(bus), name="exporter-ages"),
            ]
            held.push_async_callback(end_tasks, parts)
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:  # none ends but by a fault of ours
                part.result()

    async def _know_ages(self, bus: Bus) -> None:
        while True:
            with suppress(*_TROUBLE):  # `up` says so
                async with asyncio.timeout(AGES_SECONDS):
                    await self._ask_ages(bus)
            await asyncio.sleep(AGES_SECONDS)

    async def _serve(self, bus: Bus) -> None:
        """Answer what the yard looks like; where that cannot begin, it is tried again."""
        while True:
            try:
                async with self._served(bus, host="exporter", faults=self._unready):
                    await asyncio.Event().wait()
            except _TROUBLE as error:
                reason = str(error) or type(error).__name__
                structlog.get_logger().warning(Event.BUS_FAILED, what="snapshots", error=reason)
            await asyncio.sleep(RETRY_SECONDS)

    async def _knock(self, bus: Bus) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}")
                self._unanswered = ""
            except ApiError as error:
                self._unanswered = refusal(bus.settings.prefix, error)
            except (nats.errors.Error, TimeoutError):
                self._unanswered = "the bus does not answer"
            await asyncio.sleep(KNOCK_SECONDS)

    async def _read(self, readings: Readings) -> None:
        try:
            if self._link is None or not self._link[0].connected:
                raise TimeoutError
            async with asyncio.timeout(LOOK_SECONDS):
                sight = await self._look(*self._link)
        except _TROUBLE:
            readings.put(declared.YARD_UP, 0)
            return
        readings.put(declared.YARD_UP, 1)
        sight.read(readings, most_adapters=self._settings.metrics_adapters)

    async def _look(self, bus: Bus, client: Client) -> Sight:
        depth, streams, consumers, workers, seats = await asyncio.gather(
            client.queue_depth(),
            _listed(bus, "STREAM.LIST", "streams", {"subject": f"{bus.subjects.prefix}.>"}),
            _listed(bus, f"CONSUMER.LIST.{bus.subjects.stream('jobs')}", "consumers", {}),
            _living(bus, "workers"),
            _living(bus, "dispatchers"),
        )
        jobs: dict[Queue, int] = {}
        for address, count in depth.unfinished.items():
            queue = (address.adapter or UNNAMED, address.lane)
            jobs[queue] = jobs.get(queue, 0) + count
        self._queues = list(jobs)
        self._oldest = {queue: at for queue, at in self._oldest.items() if queue in jobs}
        return Sight(
            jobs=jobs,
            oldest=self._oldest,
            delayed=depth.delayed,
            streams=tuple(streams),
            consumers=tuple(each for each in consumers if str(each["name"]).startswith("dispatch-")),
            workers=tuple(_adverts(workers.values())),
            workers_alive=len(workers),
            dispatchers=sum(key.startswith(DISPATCHER_KEY) for key in seats),
            seats=sum(key.startswith(SEAT_KEY) for key in seats),
            partitions=self._settings.partitions,
        )

    async def _ask_ages(self, bus: Bus) -> None:
        some = in_turn(self._queues, self._last, MOST_AGES)
        self._last = some[-1] if len(some) < len(self._queues) else None
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(queue: Queue) -> None:
            async with room:
                at = await _oldest(bus, queue)
            if at is None:
                self._oldest.pop(queue, None)
            else:
                self._oldest[queue] = at

        await asyncio.gather(*(ask(queue) for queue in some))


def refusal(prefix: str, error: ApiError) -> str:
    """What a bus that refuses to tell of the jobs has said."""
    if error.code == STREAM_NOT_FOUND:
        return f"the bus has no yard {prefix}: {error}"
    return f"the bus does not tell of the yard {prefix}: {error}"


async def run_exporter(settings: YardSettings, *, stop: asyncio.Event | None = None) -> None:
    """Run until SIGTERM, SIGINT or `stop`.

    Raises:
        SettingsError: the port is taken.
    """
    stop = stop or stop_on_signals()
    exporter = Exporter(settings)
    with suppress(StoppedError):
        async with metrics_served(settings, exporter.page):
            running = asyncio.create_task(exporter.run(), name="exporter")
            try:
                await unless_stopped(stop, run_until(stop, [running]))
            finally:
                await end_tasks([running])
    structlog.get_logger().info(Event.PROCESS_STOPPED)


@asynccontextmanager
async def _linked(settings: YardSettings) -> AsyncGenerator[tuple[Bus, Client]]:
    """Two connections, or none."""
    async with (
        await connect(settings, name="exporter") as bus,
        Client(settings=client_settings(settings), name="exporter") as client,
    ):
        yield bus, client


async def _listed(bus: Bus, verb: str, field: str, body: JsonMap) -> list[JsonMap]:
    """All pages of a listing of the server."""
    found: list[JsonMap] = []
    while True:
        page = await bus.api(verb, {**body, "offset": len(found)})
        rows: list[JsonMap] = page.get(field) or []
        found += rows
        if not rows or len(found) >= int(page.get("total", 0)):
            return found


async def _living(bus: Bus, kind: str) -> dict[str, bytes]:
    """A bucket of those that live: workers; or dispatchers, and seats that are held."""
    bucket = await bus.js.key_value(bus.subjects.bucket(kind))
    entries = await list_bucket(bucket)
    return {entry.key: entry.value for entry in entries if entry.operation is None and entry.value}


def _adverts(told: Iterable[bytes]) -> Iterator[WorkerAdvert]:
    """Those that can be read: a worker of another release must not hide the rest of the yard."""
    for advert in told:
        with suppress(MalformedMessageError):
            yield decode(WorkerAdvert, advert)


async def _oldest(bus: Bus, queue: Queue) -> float | None:
    """When the oldest job of a queue came, unix seconds; None: there is none any more."""
    adapter, lane = queue
    named = None if adapter == UNNAMED else adapter
    tokens = bus.subjects.job(JobAddress(lane=lane, tenant="any", adapter=named)).split(".")
    tokens[tokens.index("any")] = "*"
    subject = ".".join(tokens) + (".*" if bus.settings.partitions > 1 else "")
    try:
        found = await bus.api(
            f"STREAM.MSG.GET.{bus.subjects.stream('jobs')}", {"seq": 1, "next_by_subj": subject}
        )
    except ApiError:
        return None
    return server_seconds(found["message"]["time"])
