"""The processes of a run, started again when they end: bus, dispatchers, workers, gateway and the client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

import nats.errors
from benchmarks.chaos.blows import DISPATCHERS, TALKING, WORKERS
from benchmarks.chaos.bus_nodes import BusNode, make_bus
from benchmarks.chaos.clocks import clock_environment, find_faketime
from benchmarks.chaos.disks import can_mount, mount_disk, unmount_disk
from benchmarks.chaos.orders import ADAPTERS
from benchmarks.chaos.wire import Wire

from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.bus_server import free_port
from lorayard_cli.embedded.child import ChildChange, ChildSpec, ChildState
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_cli.embedded.plan import (
    GATEWAY,
    YardPlan,
    dispatcher_child,
    gateway_child,
    worker_child,
    yard_settings,
)
from lorayard_cli.embedded.supervisor import Supervisor
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import YardError
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

PUBLISHER: Final = "client"
ACK_WAIT_SECONDS: Final = 3
"""As short as may be: what a killed process held comes back soon."""
DRAIN_SECONDS: Final = 2
STALL_SECONDS: Final = 6
"""A worker that hangs ends itself, and one that stood still for five seconds does not."""
POLICY: Final = RestartPolicy(first_seconds=0.1, longest_seconds=0.5)
"""A run kills each process every ten seconds: nobody is to wait longer and longer for that."""
BUS_DISK_BYTES: Final = 1 << 30
CACHE_DISK_BYTES: Final = 16 << 20
START_SECONDS: Final = 60.0
LINES: Final = 20_000
"""Last words of processes that are kept."""
SALT: Final = "ledger"


@dataclass(slots=True)
class ChaosYard:
    """What runs, and what belongs to each."""

    folder: Path
    plan: YardPlan
    supervisor: Supervisor
    nodes: Sequence[BusNode]
    wires: Mapping[str, Wire]
    gateway_port: int
    settings: YardSettings
    """Over a wire that nothing is done to."""
    lines: list[str] = field(default_factory=list[str])
    given_up: list[str] = field(default_factory=list[str])
    """Processes that will not start again."""

    def start_publisher(self, arguments: tuple[str, ...]) -> None:
        """The process that asks for everything."""
        spec = dispatcher_child(self.plan, self.wires[PUBLISHER].url, PUBLISHER)
        command = (sys.executable, "-m", "benchmarks.chaos.publisher", *arguments, str(self.gateway_port))
        self.supervisor.start(replace(spec, command=command))

    def pid(self, name: str) -> int | None:
        """Of a process that runs."""
        return self.supervisor.children[name].pid

    def cache(self, worker: str) -> Path:
        """Where a worker keeps what it fetched."""
        return self.folder / "pulled" / worker

    def clock(self, name: str) -> Path:
        """What a process's clock is read from."""
        return self.folder / f"clock-{name}"

    def orders(self, worker: str) -> Path:
        """What a worker's engine is told to do."""
        return self.folder / f"hang-{worker}"


@asynccontextmanager
async def chaos_yard(
    folder: Path, *, nodes: int, draw: Random, has_gateway: bool = True, mutations: str = ""
) -> AsyncGenerator[ChaosYard]:
    """Started, but for its client, and in the end killed."""
    plan = _plan(folder, nodes, mutations)
    servers = await make_bus(folder, nodes, draw)
    if can_mount():
        for server in servers:
            mount_disk(server.folder, BUS_DISK_BYTES)
        for name in WORKERS:
            mount_disk(folder / "pulled" / name, CACHE_DISK_BYTES)
    wires = {name: Wire([server.port for server in servers], draw) for name in (*TALKING, "runner")}
    for wire in wires.values():
        await wire.open()
    lines, given_up = list[str](), list[str]()

    def say(name: str, line: str) -> None:
        if len(lines) < LINES:
            lines.append(f"{name}: {line}")

    def changed(change: ChildChange) -> None:
        if change.state is ChildState.GIVEN_UP:
            given_up.append(f"{change.name} ended with exit code {change.exit_code}: {change.last_words}")

    supervisor = Supervisor(policy=POLICY, on_change=changed, on_line=say)
    yard = ChaosYard(
        folder,
        plan,
        supervisor,
        servers,
        wires,
        free_port(0),
        yard_settings(plan, wires["runner"].url),
        lines=lines,
        given_up=given_up,
    )
    try:
        await _start(yard, has_gateway=has_gateway)
        yield yard
    finally:
        supervisor.kill()
        await supervisor.stop(list(supervisor.children))
        for wire in (*wires.values(), *(wire for server in servers for wire in server.routes.values())):
            await wire.close()
        if can_mount():
            for disk in (*(server.folder for server in servers), *map(yard.cache, WORKERS)):
                unmount_disk(disk)


async def _start(yard: ChaosYard, *, has_gateway: bool) -> None:
    plan, start, wires = yard.plan, yard.supervisor.start, yard.wires
    for server in yard.nodes:
        start(server.spec)
    async with asyncio.timeout(START_SECONDS), await connect_when_up(yard.settings, name="ledger") as bus:
        await _declared(bus, yard.settings)
    for name in DISPATCHERS:
        start(_clocked(yard, dispatcher_child(plan, wires[name].url, name)))
    for name in WORKERS:
        start(_clocked(yard, _worker(yard, plan, name)))
    if has_gateway:
        start(gateway_child(plan, wires[GATEWAY].url, yard.gateway_port))


async def _declared(bus: Bus, settings: YardSettings) -> None:
    """A cluster's servers refuse everything until they have agreed on a leader."""
    while True:
        try:
            await declare(bus, topology(settings))
        except (YardError, ApiError, nats.errors.Error, TimeoutError):
            await asyncio.sleep(0.1)
        else:
            return


def _plan(folder: Path, nodes: int, mutations: str) -> YardPlan:
    for seed, name in enumerate(ADAPTERS):
        make_tiny_adapter(folder / "adapters" / name / "1", seed=seed, rank=2)
    return YardPlan(
        data=folder / "data",
        engine="echo",
        adapters=folder / "adapters",
        dispatchers=len(DISPATCHERS),
        workers=len(WORKERS),
        port=0,
        environment={
            "LORAYARD_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS),
            "LORAYARD_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "LORAYARD_STALL_SECONDS": str(STALL_SECONDS),
            "LORAYARD_REPLICAS": str(nodes),
            "LORAYARD_CLASSIFIERS_DIR": str(folder / "classifiers"),
            "LORAYARD_SLOTS": "4",
            "LORAYARD_ROWS": "16",
            "LORAYARD_ENGINE": "echo",
            "LORAYARD_ADAPTERS_DIR": str(folder / "adapters"),
            "LORAYARD_IDEMPOTENCY_SALT": SALT,
            "CHAOS_FOLDER": str(folder),
            "CHAOS_MUTATIONS": mutations,
        },
    )


def _worker(yard: ChaosYard, plan: YardPlan, name: str) -> ChildSpec:
    spec = worker_child(plan, yard.wires[name].url, name)
    pulled = str(yard.cache(name))
    return replace(
        spec,
        command=(sys.executable, "-m", "benchmarks.chaos.worker"),
        environment={**spec.environment, "LORAYARD_NAME": name, "LORAYARD_PULLED_DIR": pulled},
    )


def _clocked(yard: ChaosYard, spec: ChildSpec) -> ChildSpec:
    library = find_faketime()
    if library is None or spec.name not in CLOCKED:
        return spec
    clock = clock_environment(library, yard.clock(spec.name))
    return replace(spec, environment={**spec.environment, **clock})


CLOCKED: Final = (DISPATCHERS[0], WORKERS[1])
"""Under libfaketime all the time; it costs them something."""
