"""The worker process: start, run, drain, stop.

Starting: model, adapters, engine, then registration, endpoints, and the first advert last, so that nobody is
sent work it cannot take. A stop meanwhile ends the start: there is nothing to hand back yet. Stopping is the
same way back: the advert says draining, what has not begun goes back to the stream at once, rows finish, what
is left goes back too, the advert is taken down, the engine ends. A second signal waits for no row, a third
one for nothing. Each step is done though one before it failed, and none waits for a bus that is away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.service import end_service
from lorayard_shared.bus.topology import topology
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.heap import settle_heap
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.metrics.server import metrics_served
from lorayard_shared.process import (
    Stop,
    StoppedError,
    end_in_order,
    end_tasks,
    in_daemon_thread,
    run_until,
    stop_on_signals,
    unless_stopped,
)
from lorayard_shared.tracing.tracer import traced
from lorayard_workers.adapters.catalog import Catalog
from lorayard_workers.crew import EMERGENCY, Crew, make_crew
from lorayard_workers.equipment import Equipment, equip
from lorayard_workers.errors import WorkerHungError, WorkerRecycledError, WorkerSpentError
from lorayard_workers.service.job_spans import JobSpans
from lorayard_workers.service.registration import register
from lorayard_workers.settings import WorkerSettings

ENGINE_END_SECONDS = 5.0
LISTED_SECONDS = 5.0
"""Without the list of what is in the store a worker serves what it has on disk."""


async def run_worker(
    settings: WorkerSettings,
    *,
    stop: asyncio.Event | None = None,
    equip: Callable[[WorkerSettings], Equipment] = equip,
) -> None:
    """Run until SIGTERM, SIGINT or `stop`; `equip` makes the engine, and may take its time.

    Raises:
        BusUnavailableError: no server at the address.
        WorkerError: model or settings cannot be used.
        WorkerSpentError: its engine stopped by itself or hangs; this process must be started anew.
        WorkerRecycledError: it has drained, and a fresh process shall take its place.
        SettingsError: another worker runs under this name.
    """
    signalled = stop is None
    stop = stop or stop_on_signals()
    log = structlog.get_logger().bind(worker=settings.name)
    try:
        async with await unless_stopped(stop, connect(settings, name=f"worker-{settings.name}")) as bus:
            await unless_stopped(stop, declare(bus, topology(settings)))
            equipping = in_daemon_thread(partial(equip, settings), name="equip")
            equipment = await unless_stopped(stop, equipping)
            await _equipped(bus, settings, equipment, stop, owns_process=signalled)
    except StoppedError:
        log.info(Event.PROCESS_STOPPED)
        if signalled:
            # A model may still be loading in its thread, which would crash in an interpreter that ends.
            os._exit(os.EX_OK)
        return
    log.info(Event.PROCESS_STOPPED)


async def _equipped(
    bus: Bus, settings: WorkerSettings, equipment: Equipment, stop: asyncio.Event, *, owns_process: bool
) -> None:
    _report_broken(equipment.catalog)
    leases = LeaseKeeper(settings, name=f"worker-{settings.name}")
    engine, patience_seconds = equipment.engine, ENGINE_END_SECONDS
    try:
        await unless_stopped(stop, asyncio.to_thread(leases.start))
        await asyncio.to_thread(engine.start)
        settle_heap()
        try:
            await _run(bus, settings, equipment, leases, stop, owns_process=owns_process)
        except WorkerHungError:
            patience_seconds = 0.0  # the thread that hangs will not end
            raise
        finally:
            await asyncio.to_thread(partial(engine.stop, timeout_seconds=patience_seconds))
    finally:
        await asyncio.to_thread(leases.stop)


async def _run(
    bus: Bus,
    settings: WorkerSettings,
    equipment: Equipment,
    leases: LeaseKeeper,
    stop: asyncio.Event,
    *,
    owns_process: bool,
) -> None:
    entries, base_digest = equipment.catalog.entries, equipment.engine.base_digest
    registering = register(bus, entries, worker=settings.name, base_digest=base_digest)
    registered = await unless_stopped(stop, registering)
    crew = make_crew(bus, settings, equipment, leases, registered, owns_process=owns_process)
    crew.recycling.check()
    await unless_stopped(stop, crew.name_guard.check_free())
    async with (
        traced(settings, "worker", settings.name) as tracer,
        metrics_served(settings, partial(crew.metrics, bus)),
    ):
        if tracer is not None:
            spans = JobSpans(tracer, worker=settings.name, model=settings.model)
            crew.execution.tally.listeners.append(spans)
        await _serve(bus, settings, crew, leases, stop, served=len(registered.served))


async def _serve(
    bus: Bus, settings: WorkerSettings, crew: Crew, leases: LeaseKeeper, stop: asyncio.Event, *, served: int
) -> None:
    watches = {"records": crew.records, "control": crew.control_watch}
    listing = [asyncio.create_task(watch.run(), name=name) for name, watch in watches.items()]
    try:
        await unless_stopped(stop, _listed(watches.values(), listing))
        await crew.teller.listen()
        service = await crew.desk.serve()
        await unless_stopped(stop, bus.nc.flush())
    except BaseException:
        await end_tasks(listing)
        raise
    running = [*listing, *crew.start()]
    crew.health.serving = True
    crew.presence.changed()
    structlog.get_logger().info(Event.PROCESS_STARTED, worker=settings.name, pid=os.getpid(), adapters=served)
    try:
        await run_until(stop, running)
    except WorkerRecycledError as error:
        crew.words.recycled(error)
        raise
    except WorkerSpentError as error:
        crew.words.spent(error)
        leases.fall_silent()
        await crew.presence.fail(str(error))
        await crew.execution.abandon()
        raise
    finally:
        hurried = stop.hurried if isinstance(stop, Stop) else asyncio.Event()
        pulls = [task for task in running if task.get_name() == EMERGENCY]
        drained = {"drain": partial(_drain, crew, settings.drain_seconds, hurried)}
        await end_in_order(
            {
                "pulls": partial(end_tasks, pulls),
                **(drained if crew.presence.is_well else {}),
                "loops": partial(end_tasks, running),
                "trail": crew.trail.end,
                "orders": crew.orders.end,
                "validation": crew.validation.end,
                "shelf": crew.shelf.end,
                "advert": crew.presence.leave,
                "endpoints": partial(end_service, bus, service),
            }
        )


async def _drain(crew: Crew, seconds: float, hurried: asyncio.Event) -> None:
    await crew.presence.begin_draining()
    await crew.execution.drain(seconds, hurried)
    structlog.get_logger().info(Event.PROCESS_DRAINED, worker=crew.presence.worker)


async def _listed(watches: Iterable[BucketWatch], listing: Sequence[asyncio.Task[None]]) -> None:
    """Know what is in the store, and what is paused, before anybody asks: an order for what is there would be
    refused, and the worker be taken for one that cannot have it; and a paused one must not start anything."""
    ready = asyncio.create_task(_all_ready(watches), name="listed")
    try:
        await asyncio.wait([ready, *listing], timeout=LISTED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks([ready])


async def _all_ready(watches: Iterable[BucketWatch]) -> None:
    for watch in watches:
        await watch.ready.wait()


def _report_broken(catalog: Catalog) -> None:
    for broken in catalog.broken:
        structlog.get_logger().error(
            Event.ADAPTER_REFUSED, adapter=broken.name, version=broken.version, reason=broken.reason
        )
