"""The parts of a worker's service, and how they know of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.metric import Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.server import MetricsPage
from lorayard_workers.adapters.catalog import BrokenEntry, CatalogEntry
from lorayard_workers.adapters.pulled_folder import PulledFolder
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.equipment import Equipment
from lorayard_workers.errors import EngineDiedError, WorkerHungError
from lorayard_workers.service.attempts import Attempts, usual_policy
from lorayard_workers.service.control import Control
from lorayard_workers.service.desk import Desk
from lorayard_workers.service.emergency import Emergency
from lorayard_workers.service.emergency_intake import EmergencyIntake
from lorayard_workers.service.execution import Execution
from lorayard_workers.service.folder_watch import FolderWatch
from lorayard_workers.service.health import WorkerHealth
from lorayard_workers.service.held_jobs import HeldJobs
from lorayard_workers.service.job_request import RunLimits
from lorayard_workers.service.last_words import LastWords
from lorayard_workers.service.metering import WorkerMeter, read_residency
from lorayard_workers.service.model_teller import ModelTeller
from lorayard_workers.service.name_guard import NameGuard
from lorayard_workers.service.orders import Orders
from lorayard_workers.service.peers import Peers
from lorayard_workers.service.preferences import Preferences
from lorayard_workers.service.presence import Presence
from lorayard_workers.service.puller import Puller
from lorayard_workers.service.recycling import Recycling
from lorayard_workers.service.registration import Registered
from lorayard_workers.service.returns import Returns
from lorayard_workers.service.shelf import Shelf
from lorayard_workers.service.token_teller import TokenTeller
from lorayard_workers.service.trail import Trail
from lorayard_workers.service.validation import Validation
from lorayard_workers.service.watchdog import Watchdog
from lorayard_workers.service.watches import watch_from_worker
from lorayard_workers.settings import WorkerSettings

ALIVE_SECONDS = 1.0
EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The parts of a worker's service."""

    engine: Engine
    leases: LeaseKeeper
    held: HeldJobs
    presence: Presence
    name_guard: NameGuard
    execution: Execution
    teller: TokenTeller
    desk: Desk
    orders: Orders
    validation: Validation
    shelf: Shelf
    records: BucketWatch
    preferences: Preferences
    placements: BucketWatch
    control: Control
    control_watch: BucketWatch
    watchdog: Watchdog
    words: LastWords
    trail: Trail
    recycling: Recycling
    emergency: Emergency
    folder: FolderWatch | None
    model: ModelTeller
    health: WorkerHealth

    def metrics(self, bus: Bus) -> MetricsPage:
        """What it shows of itself; from here on ended jobs are counted for that."""
        meter = WorkerMeter(bus.settings.metrics_adapters)
        self.execution.tally.listeners.append(meter)

        def read(readings: Readings) -> None:
            meter.read(readings)
            read_residency(readings, self.engine.residency())
            readings.put(declared.JOBS_HELD, len(self.held))
            readings.put(declared.DRAINING, self.presence.draining)
            readings.put(declared.EMERGENCY, self.presence.emergency)

        return MetricsPage(
            source=Source.WORKER,
            name=self.presence.worker,
            read=read,
            bus=bus,
            unready=self.health.missing,
        )

    def start(self) -> list[asyncio.Task[None]]:
        """Their loops."""
        loops: dict[str, Coroutine[object, object, None]] = {
            "adverts": self.presence.run_adverts(),
            "engine-watch": _watch_engine(self.engine),
            "watchdog": self.watchdog.watch(),
            "health": self.health.run(),
            "lease-watch": self.leases.watch(),
            "name-watch": self.name_guard.watch(),
            "shelf": self.shelf.run(),
            "placements": self.placements.run(),
            "preferences": self.preferences.run(),
            "control": self.control.run(),
            "model": self.model.run(),
            EMERGENCY: self.emergency.run(),
        }
        if self.recycling.wanted:
            loops["recycling"] = self.recycling.run()
        if self.folder is not None:
            loops["adapter-folder"] = self.folder.run()
        return [asyncio.create_task(loop, name=name) for name, loop in loops.items()]


def make_crew(
    bus: Bus,
    settings: WorkerSettings,
    equipment: Equipment,
    leases: LeaseKeeper,
    registered: Registered,
    *,
    owns_process: bool,
) -> Crew:
    """Put them together; `served` is what this worker may serve from its own disk."""
    engine = equipment.engine
    held = HeldJobs(capacity=settings.rows + settings.lookahead)
    presence = _presence(bus, settings, equipment, held, registered)

    def changed() -> None:
        presence.changed()
        emergency.nudge()

    shelf = _shelf(bus, settings, equipment, registered.served, held, changed)
    returns = Returns(bus, engine, leases, held, tell=presence.tell_given_back)
    teller = TokenTeller(bus, held, worker=settings.name, epoch=presence.epoch)
    execution = _execution(bus, settings, engine, leases, held, shelf, returns, teller, changed)
    orders, validation = _orders(bus, settings, engine, shelf, presence)
    control = Control(settings.name, held, returns, on_change=changed)
    _show(presence, execution, shelf, control)
    answers = partial(Desk, returns=returns, shelf=shelf, validation=validation, is_held=control.holds)
    desk = answers(bus, execution, held, presence, orders, composes=lambda: engine.residency().composes)
    emergency = _emergency(bus, settings, leases, held, desk, presence)
    preferences = Preferences(shelf.records, engine.weigh)
    shelf.heard = preferences.on_record
    trail = _trail(bus, settings, execution, emergency)
    words = LastWords(leases, bus.subjects, held, worker=settings.name)
    watches = _watches(bus, shelf, preferences, control)
    shelf.caught_up = watches["adapters"].catch_up
    health = WorkerHealth(bus, engine, presence, watches.values())
    desk.missing = health.missing
    return Crew(
        engine=engine,
        leases=leases,
        held=held,
        presence=presence,
        name_guard=NameGuard(bus, presence),
        execution=execution,
        teller=teller,
        desk=desk,
        orders=orders,
        validation=validation,
        shelf=shelf,
        records=watches["adapters"],
        preferences=preferences,
        placements=watches["placements"],
        control=control,
        control_watch=watches["control"],
        emergency=emergency,
        folder=_folder_watch(bus, settings, equipment, shelf, presence, registered.refused),
        watchdog=_watchdog(settings, engine, leases, words, owns_process=owns_process),
        words=words,
        trail=trail,
        recycling=_recycling(bus, settings, execution),
        model=_model_teller(bus, settings, equipment),
        health=health,
    )


def _orders(
    bus: Bus, settings: WorkerSettings, engine: Engine, shelf: Shelf, presence: Presence
) -> tuple[Orders, Validation]:
    """What people and dispatchers may ask of it; a worker that takes no jobs takes no adapters either."""
    orders = Orders(
        engine, stock=shelf, max_rank=settings.max_rank, is_draining=lambda: not presence.takes_jobs
    )
    asked = Validation(bus, engine, shelf, worker=settings.name, takes_jobs=lambda: presence.takes_jobs)
    return orders, asked


def _show(presence: Presence, execution: Execution, shelf: Shelf, control: Control) -> None:
    """What a worker tells of itself comes from these."""
    presence.counters, presence.served = execution.tally.counters, execution.tally.served.told
    presence.coming = lambda: shelf.coming
    presence.paused, presence.counted = lambda: control.paused, control.counted


def _trail(bus: Bus, settings: WorkerSettings, execution: Execution, emergency: Emergency) -> Trail:
    """Hears how each job ended here."""
    trail = Trail(bus, worker=settings.name, enabled=settings.audit)
    execution.on_end = trail.ran
    emergency.answers.on_end = trail.refused
    return trail


def _watches(bus: Bus, shelf: Shelf, preferences: Preferences, control: Control) -> dict[str, BucketWatch]:
    """Of the buckets that it hears, by kind."""
    heard = {
        "adapters": shelf.on_record,
        "placements": preferences.on_placement,
        "control": control.on_change,
    }
    return {kind: watch_from_worker(bus, kind, on_change) for kind, on_change in heard.items()}


def _model_teller(bus: Bus, settings: WorkerSettings, equipment: Equipment) -> ModelTeller:
    digest = equipment.engine.base_digest
    return ModelTeller(bus, model=settings.model, base_digest=digest, tokenizer=equipment.tokenizer)


def _recycling(bus: Bus, settings: WorkerSettings, execution: Execution) -> Recycling:
    return Recycling(
        bus,
        worker=settings.name,
        jobs_done=lambda: execution.tally.ended,
        after_jobs=settings.recycle_jobs,
        after_bytes=settings.recycle_rss_bytes,
        drain_seconds=settings.drain_seconds,
    )


def _execution(
    bus: Bus,
    settings: WorkerSettings,
    engine: Engine,
    leases: LeaseKeeper,
    held: HeldJobs,
    shelf: Shelf,
    returns: Returns,
    teller: TokenTeller,
    on_change: Callable[[], None],
) -> Execution:
    return Execution(
        bus,
        engine,
        leases,
        held,
        worker=settings.name,
        attempts=Attempts(
            bus,
            worker=settings.name,
            usual=usual_policy(settings),
            snooze_seconds=settings.snooze_seconds,
        ),
        shelf=shelf,
        returns=returns,
        teller=teller,
        limits=RunLimits(default_seconds=settings.run_limit_seconds, most_seconds=settings.max_run_seconds),
        on_change=on_change,
    )


def _presence(
    bus: Bus, settings: WorkerSettings, equipment: Equipment, held: HeldJobs, registered: Registered
) -> Presence:
    return Presence(
        bus,
        equipment.engine,
        held,
        worker=settings.name,
        model=settings.model,
        broken=(*equipment.catalog.broken, *registered.refused),
        labels=settings.labels,
        bound=settings.dedicated is not None,
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
    bus: Bus,
    settings: WorkerSettings,
    equipment: Equipment,
    shelf: Shelf,
    presence: Presence,
    refused: Sequence[BrokenEntry],
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
        refused=refused,
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
        EmergencyIntake(bus, leases, held, desk, peers, counted=presence.counted),
        capacity=settings.rows + settings.lookahead,
        after_seconds=settings.emergency_after_seconds,
        enabled=settings.emergency,
    )


def _watchdog(
    settings: WorkerSettings, engine: Engine, leases: LeaseKeeper, words: LastWords, *, owns_process: bool
) -> Watchdog:
    def on_stall(stall: WorkerHungError, stacks: str) -> None:
        words.hung(stall, stacks)
        leases.fall_silent()

    return Watchdog(
        engine.pulses,
        stall_seconds=settings.stall_seconds,
        on_stall=on_stall,
        owns_process=owns_process,
    )


async def _watch_engine(engine: Engine) -> None:
    while engine.alive():  # noqa: ASYNC110  # threads set no asyncio event when they die
        await asyncio.sleep(ALIVE_SECONDS)
    raise EngineDiedError
