"""The worker process: start, run, drain, stop.

Starting: model, adapters, engine, then registration, endpoints, and the first advert last, so that nobody is
sent work it cannot take. A stop meanwhile ends the start: there is nothing to hand back yet. Stopping is the
same way back: the advert says draining, rows finish, what is left goes back to the stream at once, the advert
is taken down, the engine ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
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
from lorayard_shared.process import (
    StoppedError,
    end_tasks,
    in_daemon_thread,
    run_until,
    stop_on_signals,
    unless_stopped,
)
from lorayard_workers.adapters.catalog import Catalog, CatalogEntry
from lorayard_workers.adapters.pulled_folder import PulledFolder
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.equipment import Equipment, equip
from lorayard_workers.errors import EngineDiedError, WorkerHungError, WorkerSpentError
from lorayard_workers.service.desk import Desk
from lorayard_workers.service.emergency import Emergency
from lorayard_workers.service.emergency_intake import EmergencyIntake
from lorayard_workers.service.execution import Execution
from lorayard_workers.service.folder_watch import FolderWatch
from lorayard_workers.service.held_jobs import HeldJobs
from lorayard_workers.service.name_guard import NameGuard
from lorayard_workers.service.orders import Orders
from lorayard_workers.service.peers import Peers
from lorayard_workers.service.presence import Presence
from lorayard_workers.service.puller import Puller
from lorayard_workers.service.registration import register
from lorayard_workers.service.returns import Returns
from lorayard_workers.service.shelf import Shelf
from lorayard_workers.service.validation import Validation
from lorayard_workers.service.watchdog import Watchdog
from lorayard_workers.service.watches import watch_from_worker
from lorayard_workers.settings import WorkerSettings

ALIVE_SECONDS = 1.0
EMERGENCY = "emergency"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crew:
    """The parts of a worker's service."""

    engine: Engine
    leases: LeaseKeeper
    presence: Presence
    name_guard: NameGuard
    execution: Execution
    desk: Desk
    orders: Orders
    validation: Validation
    shelf: Shelf
    records: BucketWatch
    watchdog: Watchdog
    emergency: Emergency
    folder: FolderWatch | None

    def start(self) -> list[asyncio.Task[None]]:
        """Their loops."""
        loops: dict[str, Coroutine[object, object, None]] = {
            "load-reports": self.presence.run_load_reports(),
            "adverts": self.presence.run_adverts(),
            "engine-watch": _watch_engine(self.engine),
            "watchdog": self.watchdog.watch(),
            "lease-watch": self.leases.watch(),
            "name-watch": self.name_guard.watch(),
            "shelf": self.shelf.run(),
            EMERGENCY: self.emergency.run(),
        }
        if self.folder is not None:
            loops["adapter-folder"] = self.folder.run()
        return [asyncio.create_task(loop, name=name) for name, loop in loops.items()]


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
    served = await unless_stopped(stop, register(bus, entries, worker=settings.name, base_digest=base_digest))
    crew = _crew(bus, settings, equipment, leases, served, owns_process=owns_process)
    await unless_stopped(stop, crew.name_guard.check_free())
    listing = asyncio.create_task(crew.records.run(), name="records")
    try:
        await unless_stopped(stop, _listed(crew.records, listing))
        service = await crew.desk.serve()
        await unless_stopped(stop, bus.nc.flush())
    except BaseException:
        await end_tasks([listing])
        raise
    running = [listing, *crew.start()]
    crew.presence.changed()
    structlog.get_logger().info(
        Event.PROCESS_STARTED, worker=settings.name, pid=os.getpid(), adapters=len(served)
    )
    try:
        await run_until(stop, running)
    except WorkerSpentError as error:
        leases.fall_silent()
        await crew.presence.fail(str(error))
        await crew.execution.abandon()
        raise
    finally:
        await end_tasks(task for task in running if task.get_name() == EMERGENCY)
        if crew.presence.takes_jobs:
            await crew.presence.begin_draining()
            await crew.execution.drain(settings.drain_seconds)
            structlog.get_logger().info(Event.PROCESS_DRAINED, worker=settings.name)
        await end_tasks(running)
        await crew.orders.end()
        await crew.validation.end()
        await crew.shelf.end()
        await crew.presence.leave()
        await end_service(bus, service)


async def _listed(records: BucketWatch, listing: asyncio.Task[None]) -> None:
    """Know what is in the store before anybody asks: an order for what is there would be refused, and the
    worker be taken for one that cannot have it."""
    ready = asyncio.create_task(records.ready.wait(), name="records-ready")
    try:
        await asyncio.wait([ready, listing], timeout=LISTED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks([ready])


def _crew(
    bus: Bus,
    settings: WorkerSettings,
    equipment: Equipment,
    leases: LeaseKeeper,
    served: Sequence[CatalogEntry],
    *,
    owns_process: bool,
) -> _Crew:
    engine = equipment.engine
    held = HeldJobs(capacity=settings.rows + settings.lookahead)
    presence = Presence(
        bus,
        engine,
        held,
        worker=settings.name,
        model=settings.model,
        broken=equipment.catalog.broken,
        labels=settings.labels,
        bound=settings.dedicated is not None,
    )

    def changed() -> None:
        presence.changed()
        emergency.nudge()

    shelf = _shelf(bus, settings, equipment, served, held, changed)
    returns = Returns(bus, engine, leases, held, tell=presence.tell_given_back)
    execution = Execution(
        bus,
        engine,
        leases,
        held,
        worker=settings.name,
        max_attempts=settings.max_attempts,
        shelf=shelf,
        returns=returns,
        on_change=changed,
    )
    presence.counters, presence.served = execution.tally.counters, execution.tally.served.told
    presence.coming = lambda: shelf.coming
    orders = Orders(
        engine,
        stock=shelf,
        max_rank=settings.max_rank,
        is_draining=lambda: not presence.takes_jobs,
    )
    validation = Validation(bus, engine, shelf, worker=settings.name, takes_jobs=lambda: presence.takes_jobs)
    desk = Desk(
        bus,
        execution,
        held,
        presence,
        orders,
        returns=returns,
        shelf=shelf,
        validation=validation,
        composes=lambda: engine.residency().composes,
    )
    emergency = _emergency(bus, settings, leases, held, desk, presence)
    return _Crew(
        engine=engine,
        leases=leases,
        presence=presence,
        name_guard=NameGuard(bus, presence),
        execution=execution,
        desk=desk,
        orders=orders,
        validation=validation,
        shelf=shelf,
        records=watch_from_worker(bus, "adapters", shelf.on_record),
        emergency=emergency,
        folder=_folder_watch(bus, settings, equipment, shelf, presence),
        watchdog=Watchdog(
            engine.pulses,
            stall_seconds=settings.stall_seconds,
            on_stall=leases.fall_silent,
            owns_process=owns_process,
        ),
    )


def _shelf(
    bus: Bus,
    settings: WorkerSettings,
    equipment: Equipment,
    served: Sequence[CatalogEntry],
    held: HeldJobs,
    on_change: Callable[[], None],
) -> Shelf:
    pulled = PulledFolder(settings.store_dir, settings.pulled_bytes)
    return Shelf(
        bus,
        equipment.engine,
        served,
        folders=equipment.folders,
        pulled=pulled,
        puller=Puller(settings, pulled, equipment.limits),
        templates=equipment.catalog.prompt_templates(),
        max_rank=settings.max_rank,
        in_jobs=held.digests,
        on_change=on_change,
    )


def _folder_watch(
    bus: Bus, settings: WorkerSettings, equipment: Equipment, shelf: Shelf, presence: Presence
) -> FolderWatch | None:
    if equipment.scanner is None or not settings.adapters_scan_seconds:
        return None
    engine = equipment.engine

    def kept(digest: str) -> bool:
        residency = engine.residency()
        held = digest in residency.host or any(slot.digest == digest for slot in residency.slots)
        return held or equipment.keeps(digest)

    return FolderWatch(
        bus,
        equipment.scanner,
        shelf,
        presence,
        found=equipment.catalog,
        base_digest=engine.base_digest,
        kept=kept,
        seconds=settings.adapters_scan_seconds,
    )


def _emergency(
    bus: Bus,
    settings: WorkerSettings,
    leases: LeaseKeeper,
    held: HeldJobs,
    desk: Desk,
    presence: Presence,
) -> Emergency:
    peers = Peers(settings.name, has_room=lambda: held.room > 0)
    return Emergency(
        bus,
        presence,
        EmergencyIntake(bus, leases, held, desk, peers),
        capacity=settings.rows + settings.lookahead,
        after_seconds=settings.emergency_after_seconds,
        enabled=settings.emergency,
    )


def _report_broken(catalog: Catalog) -> None:
    for broken in catalog.broken:
        structlog.get_logger().error(
            Event.ADAPTER_REFUSED, adapter=broken.name, version=broken.version, reason=broken.reason
        )


async def _watch_engine(engine: Engine) -> None:
    while engine.alive():  # noqa: ASYNC110  # threads set no asyncio event when they die
        await asyncio.sleep(ALIVE_SECONDS)
    raise EngineDiedError
