"""The dispatcher process: start, run, stop.

Stopping is one sequence: no more pulls and plans; hand-overs under way end; the endpoints close; parked jobs
go back to the stream at once, and a dispatcher that stands by may pull; the connections close. Each step is
done though one before it failed, and none waits for a bus that is away. A stop that comes while it still
starts ends the start. A dispatcher that is killed instead loses nothing either: its jobs
come back after `ack_wait`.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog

from lorayard_dispatcher import guard, samples
from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.fuse import Fuse
from lorayard_dispatcher.guard import Guard
from lorayard_dispatcher.health import DispatcherHealth
from lorayard_dispatcher.metrics_page import DispatcherMetrics
from lorayard_dispatcher.posts import Posts
from lorayard_dispatcher.recurring import Recurring
from lorayard_dispatcher.samples import SamplesKeeper
from lorayard_dispatcher.seats import Seats
from lorayard_dispatcher.service import serve
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_dispatcher.terminated import Terminated
from lorayard_dispatcher.upkeep import Upkeep
from lorayard_dispatcher.wait_spans import WaitSpans
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
    StoppedError,
    end_in_order,
    end_tasks,
    run_until,
    stop_on_signals,
    unless_stopped,
)
from lorayard_shared.tracing.tracer import traced

KEEPING_SEAT = 0
"""There is always one."""

LAST_WRITING_SECONDS = max(guard.LAST_SECONDS, samples.LAST_SECONDS) + 0.5
"""They end it themselves; what is over this was told to stop and did not hear it."""

SETTLE_SECONDS = 5.0
WORKER_GRACE_SECONDS = 3.0
"""After an outage of the bus longer than adverts live, until a worker that has not written again counts as
dead: time to reconnect and for two beats. Its running jobs would be given out twice otherwise."""


async def run_dispatcher(settings: DispatcherSettings, *, stop: asyncio.Event | None = None) -> None:
    """Run until SIGTERM, SIGINT or `stop`.

    Raises:
        BusUnavailableError: no server at the address.
        BusDeclarationError: the server refused a stream, bucket or consumer.
    """
    stop = stop or stop_on_signals()
    name = settings.name or f"d-{uuid.uuid4().hex[:8]}"
    log = structlog.get_logger().bind(dispatcher=name)
    with suppress(StoppedError):
        async with await unless_stopped(stop, connect(settings, name=f"dispatcher-{name}")) as bus:
            for drift in await unless_stopped(stop, declare(bus, topology(settings))):
                log.warning(Event.BUS_DRIFTED, difference=str(drift))
            leases = LeaseKeeper(settings, name=f"dispatcher-{name}")
            try:
                await unless_stopped(stop, asyncio.to_thread(leases.start))
                dispatcher = Dispatcher(bus, leases, settings, name)
                health = DispatcherHealth(dispatcher)
                async with (
                    traced(settings, "dispatcher", name) as tracer,
                    metrics_served(settings, lambda: DispatcherMetrics(dispatcher).page(health.missing)),
                ):
                    if tracer is not None:
                        dispatcher.plans.listeners.append(WaitSpans(tracer, dispatcher=name).decided)
                    await _run(dispatcher, bus, stop, health)
            finally:
                await asyncio.to_thread(leases.stop)
    log.info(Event.PROCESS_STOPPED)


async def _run(dispatcher: Dispatcher, bus: Bus, stop: asyncio.Event, health: DispatcherHealth) -> None:
    adapters = BucketWatch(bus, bus.subjects.bucket("adapters"), dispatcher.on_adapter)
    workers = BucketWatch(
        bus,
        bus.subjects.bucket("workers"),
        dispatcher.news.advert,
        gone_grace_seconds=WORKER_GRACE_SECONDS,
    )
    placements = BucketWatch(bus, bus.subjects.bucket("placements"), dispatcher.keeping.on_placement)
    rerouting = dispatcher.rerouting
    aliases = BucketWatch(bus, bus.subjects.bucket("aliases"), dispatcher.on_alias)
    rules = BucketWatch(bus, bus.subjects.bucket("rules"), dispatcher.on_rules)
    control = BucketWatch(bus, bus.subjects.bucket("control"), rerouting.on_control)
    tenants = BucketWatch(bus, bus.subjects.bucket("tenants"), dispatcher.limits.on_change)
    recurring = Recurring(bus, is_active=lambda: dispatcher.keeping.is_active())
    schedules = BucketWatch(bus, recurring.bucket, recurring.on_change)
    interruptions = BucketWatch(bus, bus.subjects.bucket("interruptions"), dispatcher.interruptions.on_change)
    watches = {
        "interruptions": interruptions,
        "adapters": adapters,
        "workers": workers,
        "placements": placements,
        "aliases": aliases,
        "rules": rules,
        "control": control,
        "tenants": tenants,
        "schedules": schedules,
    }
    dispatcher.late_news.watches = (adapters, aliases)
    await bus.nc.hear(bus.subjects.load(dispatcher.name), dispatcher.news.load)
    await dispatcher.sessions.listen()
    running = [
        *(asyncio.create_task(watch.run(), name=f"watch-{name}") for name, watch in watches.items()),
        asyncio.create_task(dispatcher.run_plans(), name="plans"),
        asyncio.create_task(dispatcher.leases.watch(), name="lease-watch"),
        asyncio.create_task(dispatcher.semantic.run(), name="classifier"),
    ]
    listed = asyncio.create_task(_known(dispatcher, *watches.values()), name="first-listing")
    try:
        # Jobs only once it is known which adapters and workers there are.
        await run_until(stop, [*running, listed])
        if not stop.is_set():
            await _serve(dispatcher, bus, stop, running, recurring, health, tuple(watches.values()))
    finally:
        await end_tasks([*running, listed])


async def _known(dispatcher: Dispatcher, *watches: BucketWatch) -> None:
    for watch in watches:
        await watch.ready.wait()
    await dispatcher.limits.ready()
    await dispatcher.semantic.ready()


async def _serve(
    dispatcher: Dispatcher,
    bus: Bus,
    stop: asyncio.Event,
    running: Sequence[asyncio.Task[None]],
    recurring: Recurring,
    health: DispatcherHealth,
    watches: Sequence[BucketWatch],
) -> None:
    posts = Posts(dispatcher)
    seats = Seats(bus, dispatcher.name, started_at=dispatcher.started_at, post=posts)
    # A stand-by brings nothing into memory either.
    dispatcher.is_active = lambda: bool(seats.held) and seats.sure()
    # Of several that are active one keeps the adapters: what traffic is worth, each would see otherwise.
    dispatcher.keeping.is_active = lambda: KEEPING_SEAT in seats.held and seats.sure()
    await dispatcher.keeping.look(time.monotonic())  # before the first job
    upkeep = Upkeep(bus)
    service = await serve(dispatcher, seats, upkeep, health)
    health.serves(seats, posts, upkeep, watches)
    active = [
        *_loops(dispatcher, bus, seats),
        asyncio.create_task(recurring.run(), name="recurring"),
        asyncio.create_task(upkeep.run(), name="upkeep"),
        asyncio.create_task(seats.run(), name="seats"),
        asyncio.create_task(posts.watch(), name="pulls-watch"),
    ]
    settle_heap()
    structlog.get_logger().info(Event.PROCESS_STARTED, dispatcher=dispatcher.name, pid=os.getpid())
    try:
        await run_until(stop, [*running, *active])
    finally:
        await end_in_order(
            {
                "decisions": partial(end_tasks, active, last_seconds=LAST_WRITING_SECONDS),
                "pulls": posts.end,
                "loops": partial(end_tasks, running),
                "limits": dispatcher.limits.end,
                "hand-overs": partial(_settle, dispatcher),
                "endpoints": partial(end_service, bus, service),
                "tasks": dispatcher.end,
                "parked jobs": dispatcher.departures.hand_back_all,
                "pins": posts.step_down,
                "seats": seats.leave,
            }
        )


def _loops(dispatcher: Dispatcher, bus: Bus, seats: Seats) -> list[asyncio.Task[None]]:
    """What only those do that are active, though each runs everywhere."""
    guarding = Guard(
        bus,
        dispatcher.choosing.directory.aliases,
        spawn=dispatcher.spawn,
        is_active=lambda: dispatcher.keeping.is_active(),
    )
    keeper = SamplesKeeper(
        bus, dispatcher.samples, seats=lambda: seats.held, encoder=dispatcher.semantic.encoder
    )
    fuse = Fuse(
        bus,
        dispatcher.answers,
        is_active=lambda: dispatcher.keeping.is_active(),
        is_held=dispatcher.fleet.is_held,
    )
    terminated = Terminated(
        bus,
        dispatcher.answers,
        departures=dispatcher.departures,
        fleet=dispatcher.fleet,
        has_seat=lambda partition: partition in seats.held and seats.sure(),
    )
    return [
        asyncio.create_task(fuse.run(), name="fuse"),
        asyncio.create_task(terminated.run(), name="terminated"),
        asyncio.create_task(dispatcher.limits.run(), name="limits"),
        asyncio.create_task(dispatcher.shedding.run(), name="shedding"),
        asyncio.create_task(keeper.run(), name="samples"),
        asyncio.create_task(guarding.run(), name="guard"),
    ]


async def _settle(dispatcher: Dispatcher) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            await dispatcher.settle()
