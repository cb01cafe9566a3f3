"""The worker process: start, run, drain, stop.

Starting: model, adapters, engine, then registration, endpoints, and the first advert last, so that nobody is
sent work it cannot take. A stop meanwhile ends the start: there is nothing to hand back yet. Stopping is the
same way back: the advert says draining, rows finish, what is left goes back to the stream at once, the advert
is taken down, the engine ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial

import structlog

from lorayard_schemas.advert import WorkerCounters
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.service import end_service
from lorayard_shared.bus.topology import topology
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.process import (
    StoppedError,
    end_tasks,
    in_daemon_thread,
    run_until,
    stop_on_signals,
    unless_stopped,
)
from lorayard_workers.adapters.catalog import Catalog
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.equipment import Equipment, equip
from lorayard_workers.heap import settle_heap
from lorayard_workers.service.desk import Desk
from lorayard_workers.service.execution import Execution
from lorayard_workers.service.held_jobs import HeldJobs
from lorayard_workers.service.name_guard import NameGuard
from lorayard_workers.service.orders import Orders
from lorayard_workers.service.presence import Presence
from lorayard_workers.service.registration import register
from lorayard_workers.settings import WorkerSettings

ALIVE_SECONDS = 1.0


class EngineDiedError(Exception):
    """The engine's threads ended: this process must be started anew."""


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
        EngineDiedError: the engine stopped by itself.
        SettingsError: another worker runs under this name.
    """
    signalled = stop is None
    stop = stop or stop_on_signals()
    log = structlog.get_logger().bind(worker=settings.name)
    try:
        async with await unless_stopped(stop, connect(settings, name=f"worker-{settings.name}")) as bus:
            await unless_stopped(stop, declare(bus, topology(settings)))
            equipping = in_daemon_thread(partial(equip, settings), name="equip")
            await _equipped(bus, settings, await unless_stopped(stop, equipping), stop)
    except StoppedError:
        log.info(Event.PROCESS_STOPPED)
        if signalled:
            # A model may still be loading in its thread, which would crash in an interpreter that ends.
            os._exit(os.EX_OK)
        return
    log.info(Event.PROCESS_STOPPED)


async def _equipped(bus: Bus, settings: WorkerSettings, equipment: Equipment, stop: asyncio.Event) -> None:
    _report_broken(equipment.catalog)
    leases = LeaseKeeper(settings, name=f"worker-{settings.name}")
    engine = equipment.engine
    try:
        await unless_stopped(stop, asyncio.to_thread(leases.start))
        await asyncio.to_thread(engine.start)
        settle_heap()
        try:
            await _run(bus, settings, equipment, leases, stop)
        finally:
            await asyncio.to_thread(engine.stop)
    finally:
        await asyncio.to_thread(leases.stop)


async def _run(
    bus: Bus, settings: WorkerSettings, equipment: Equipment, leases: LeaseKeeper, stop: asyncio.Event
) -> None:
    engine = equipment.engine
    entries = equipment.catalog.entries
    served = await unless_stopped(
        stop, register(bus, entries, worker=settings.name, base_digest=engine.base_digest)
    )
    digests = frozenset(entry.digest for entry in served)
    held = HeldJobs(capacity=settings.rows + settings.lookahead)
    presence = Presence(
        bus,
        engine,
        held,
        worker=settings.name,
        model=settings.model,
        broken=equipment.catalog.broken,
    )
    name_guard = NameGuard(bus, presence)
    await unless_stopped(stop, name_guard.check_free())
    execution = Execution(
        bus,
        engine,
        leases,
        held,
        worker=settings.name,
        max_attempts=settings.max_attempts,
        prompt_templates=equipment.catalog.prompt_templates(),
        on_change=presence.changed,
    )
    presence.counters = lambda: WorkerCounters(
        jobs_succeeded=execution.succeeded,
        jobs_failed=execution.failed,
        completion_tokens=execution.completion_tokens,
    )
    presence.served = execution.served.told
    orders = Orders(
        engine,
        ranks={entry.digest: entry.rank for entry in served},
        max_rank=settings.max_rank,
        is_draining=lambda: presence.draining,
    )
    desk = Desk(bus, execution, held, presence, orders, knows=digests.__contains__)
    service = await desk.serve()
    await unless_stopped(stop, bus.nc.flush())
    running = [
        asyncio.create_task(presence.run_load_reports(), name="load-reports"),
        asyncio.create_task(presence.run_adverts(), name="adverts"),
        asyncio.create_task(_watch_engine(engine), name="engine-watch"),
        asyncio.create_task(leases.watch(), name="lease-watch"),
        asyncio.create_task(name_guard.watch(), name="name-watch"),
    ]
    presence.changed()
    structlog.get_logger().info(
        Event.PROCESS_STARTED, worker=settings.name, pid=os.getpid(), adapters=len(served)
    )
    try:
        await run_until(stop, running)
    finally:
        await presence.begin_draining()
        # A dead engine finishes nothing: its jobs go back now.
        await execution.drain(settings.drain_seconds if engine.alive() else 0.0)
        structlog.get_logger().info(Event.PROCESS_DRAINED, worker=settings.name)
        await end_tasks(running)
        await presence.leave()
        await end_service(bus, service)


def _report_broken(catalog: Catalog) -> None:
    for broken in catalog.broken:
        structlog.get_logger().error(
            Event.ADAPTER_REFUSED, adapter=broken.name, version=broken.version, reason=broken.reason
        )


async def _watch_engine(engine: Engine) -> None:
    while engine.alive():  # noqa: ASYNC110  # threads set no asyncio event when they die
        await asyncio.sleep(ALIVE_SECONDS)
    raise EngineDiedError("the engine's threads ended")
