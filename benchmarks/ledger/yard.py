"""The processes of a run: bus, two dispatchers, three workers and the client, started again when they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.ledger.blows import ALL_DISPATCHERS, Blow
from benchmarks.ledger.orders import ADAPTERS

from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_cli.embedded.child import ChildChange, ChildSpec
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_cli.embedded.plan import BUS, YardPlan, bus_child, dispatcher_child, worker_child, yard_settings
from lorayard_cli.embedded.supervisor import Supervisor
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

PUBLISHER: Final = "client"
DISPATCHERS: Final = ("dispatcher", "dispatcher-2")
TARGETS: Final = (BUS, *DISPATCHERS, ALL_DISPATCHERS, "w1", "w2", "w3", PUBLISHER)
ACK_WAIT_SECONDS: Final = 3
"""As short as may be: what a killed process held comes back soon."""
DRAIN_SECONDS: Final = 2
POLICY: Final = RestartPolicy(first_seconds=0.1, longest_seconds=0.5)
"""A run kills each process every ten seconds: nobody is to wait longer and longer for that."""


@dataclass(slots=True)
class LedgerYard:
    """What runs, and what befell it."""

    supervisor: Supervisor
    settings: YardSettings
    hits: Counter[str] = field(default_factory=Counter[str])
    """By target and signal."""
    lines: list[str] = field(default_factory=list[str])
    """The last words of processes, for the report of a violation."""

    async def strike(self, blow: Blow) -> None:
        """Once it runs; a process that stands still goes on after its time."""
        targets = DISPATCHERS if blow.target == ALL_DISPATCHERS else (blow.target,)
        await asyncio.gather(*(self._strike(blow, target) for target in targets))

    async def _strike(self, blow: Blow, target: str) -> None:
        child = self.supervisor.children[target]
        while (pid := child.pid) is None:  # noqa: ASYNC110  # the supervisor tells only when asked
            await asyncio.sleep(0.02)
        with suppress(ProcessLookupError):
            os.kill(pid, blow.signal)
            self.hits[f"{target} {blow.signal.name}"] += 1
            if blow.signal is signal.SIGSTOP:
                await asyncio.sleep(blow.stop_seconds)
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def ledger_yard(folder: Path, publisher: tuple[str, ...]) -> AsyncGenerator[LedgerYard]:
    """Started and, in the end, killed."""
    plan = _plan(folder)
    server = prepare_bus_server(folder / "bus")
    lines: list[str] = []

    def say(name: str, line: str) -> None:
        lines.append(f"{name}: {line}")

    supervisor = Supervisor(policy=POLICY, on_change=_ignore, on_line=say)
    yard = LedgerYard(supervisor, yard_settings(plan, server.url), lines=lines)
    try:
        supervisor.start(bus_child(server))
        async with await connect_when_up(yard.settings, name="ledger") as bus:
            await declare(bus, topology(yard.settings))
        for name in plan.dispatcher_names:
            supervisor.start(dispatcher_child(plan, server.url, name))
        for name in plan.worker_names:
            supervisor.start(_worker(plan, server.url, name))
        supervisor.start(_publisher(plan, server.url, publisher))
        yield yard
    finally:
        supervisor.kill()
        await supervisor.stop(list(supervisor.children))


def _plan(folder: Path) -> YardPlan:
    for seed, name in enumerate(ADAPTERS):
        make_tiny_adapter(folder / "adapters" / name / "1", seed=seed, rank=2)
    return YardPlan(
        data=folder / "data",
        engine="echo",
        adapters=folder / "adapters",
        dispatchers=2,
        workers=3,
        port=0,
        environment={
            "LORAYARD_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS),
            "LORAYARD_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "LORAYARD_PULLED_DIR": str(folder / "pulled"),
            "LORAYARD_CLASSIFIERS_DIR": str(folder / "classifiers"),
            "LORAYARD_SLOTS": "4",
            "LORAYARD_ROWS": "16",
            "LORAYARD_ENGINE": "echo",
            "LORAYARD_ADAPTERS_DIR": str(folder / "adapters"),
        },
    )


def _worker(plan: YardPlan, url: str, name: str) -> ChildSpec:
    spec = worker_child(plan, url, name)
    return replace(
        spec,
        command=(sys.executable, "-m", "benchmarks.ledger.worker"),
        environment={**spec.environment, "LORAYARD_NAME": name},
    )


def _publisher(plan: YardPlan, url: str, arguments: tuple[str, ...]) -> ChildSpec:
    spec = dispatcher_child(plan, url, PUBLISHER)
    return replace(spec, command=(sys.executable, "-m", "benchmarks.ledger.publisher", *arguments))


def _ignore(_change: ChildChange) -> None:
    """Deaths are what this is about."""
