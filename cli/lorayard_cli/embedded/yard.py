"""A whole yard as one context manager: bus, dispatcher, workers and maybe a gateway, as children.

async with EmbeddedYard(YardPlan(data=folder, engine="echo", port=0)) as yard:
    ...  # connect to yard.url
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import nats.errors

from lorayard import Client
from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.bus_server import BusServer, free_port, prepare_bus_server
from lorayard_cli.embedded.child import ChildChange, OnChange, OnLine
from lorayard_cli.embedded.crew_desk import serve_crew
from lorayard_cli.embedded.data_folder import YardState, forget_state, locked, write_state
from lorayard_cli.embedded.liveness import ask_dispatcher, connect_when_up, is_listening
from lorayard_cli.embedded.plan import (
    BUS,
    EXPORTER,
    GATEWAY,
    YardPlan,
    bus_child,
    dispatcher_child,
    exporter_child,
    gateway_child,
    trust_file,
    worker_child,
    yard_settings,
)
from lorayard_cli.embedded.supervisor import Supervisor
from lorayard_cli.embedded.trust_watch import on_change
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import BusUnavailableError, YardError
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

BUS_START_SECONDS = 20.0
START_SECONDS = 180.0
"""A worker imports torch and reads the model, on a busy machine after a cold boot."""

POLL_SECONDS = 0.1


class YardStartError(YardError):
    """Something did not start in time."""

    def __init__(self, *, missing: tuple[str, ...], waited_seconds: float) -> None:
        super().__init__(
            f"{', '.join(missing)} did not start within {waited_seconds:.0f} s; its lines above say more, "
            "or start with --log-level debug"
        )
        self.missing = missing


def _ignore_change(_change: ChildChange) -> None:
    """Stand in for an absent listener."""


def _ignore_line(_name: str, _line: str) -> None:
    """Stand in for an absent listener."""


class EmbeddedYard:
    """Starts a yard, keeps it running, and stops it in order: workers, dispatcher, bus."""

    def __init__(
        self,
        plan: YardPlan,
        *,
        on_change: OnChange = _ignore_change,
        on_line: OnLine = _ignore_line,
        policy: RestartPolicy | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.plan = plan
        self._on_change = on_change
        self._supervisor = Supervisor(
            policy=policy or RestartPolicy(), on_change=self._changed, on_line=on_line
        )
        self._start_seconds = start_seconds
        self._held = ExitStack()
        self._server: BusServer | None = None
        self._gateway_port: int | None = None
        self._workers = list(plan.worker_names)
        self._last_number = plan.workers
        """No name comes twice: what was said of a worker that is gone is not meant for a new one."""
        self._crew_tasks = set[asyncio.Task[None]]()
        self._desk: asyncio.Task[None] | None = None
        self._trust_watch: asyncio.Task[None] | None = None
        self._ready = False
        self.stopping = False
        """Whether its children are being stopped, which nothing may interrupt."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        assert self._server is not None
        return self._server.url

    @property
    def gateway_url(self) -> str | None:
        """Where its gateway serves HTTP; None: it has none."""
        return None if self._gateway_port is None else f"http://127.0.0.1:{self._gateway_port}"

    @property
    def settings(self) -> YardSettings:
        """Settings for a client of this yard."""
        return yard_settings(self.plan, self.url)

    @property
    def worker_names(self) -> tuple[str, ...]:
        """The workers that are kept running."""
        return tuple(self._workers)

    def add_workers(self, count: int) -> tuple[str, ...]:
        """Start more like those there are; their names. The yard goes on when one of them cannot run."""
        if self.stopping:
            return ()
        first = self._last_number + 1
        self._last_number += count
        names = tuple(f"w{number}" for number in range(first, first + count))
        for name in names:
            self._supervisor.start(replace(worker_child(self.plan, self.url, name), vital=False))
        self._workers += names
        return names

    def remove_workers(self, names: Sequence[str]) -> None:
        """Have these drain and end, for good."""
        for name in names:
            self._workers.remove(name)
            self._keep(self._remove(name), f"remove-{name}")

    def _reload_bus(self) -> None:
        if (pid := self.pids.get(BUS)) is not None:
            os.kill(pid, signal.SIGHUP)

    async def _remove(self, name: str) -> None:
        await self._supervisor.dismiss(name)
        self._write_state()

    def _keep(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._crew_tasks.add(task)
        task.add_done_callback(self._crew_tasks.discard)
        return task

    @property
    def pids(self) -> dict[str, int | None]:
        """Name -> process id of every child; None while it waits to be started again."""
        return {name: child.pid for name, child in self._supervisor.children.items()}

    async def __aenter__(self) -> Self:
        self._held.enter_context(locked(self.plan.data))
        forget_state(self.plan.data)  # left by a yard that was killed
        try:
            self._server = prepare_bus_server(
                self.plan.data / "bus", port=self.plan.port, trust=trust_file(self.plan)
            )
            if self.plan.gateway is not None:
                self._gateway_port = free_port(self.plan.gateway, option="--gateway")
            if self.plan.metrics is not None:
                free_port(self.plan.metrics, option="--metrics")
            await self._supervisor.run(self._start())
        except BaseException:
            await self.stop()
            raise
        self._ready = True
        self._write_state()
        self._desk = self._keep(serve_crew(self.settings, self), "crew-desk")
        if self._server.trust is not None:
            self._trust_watch = self._keep(on_change(self._server.trust, self._reload_bus), "watch-trust")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Until a child cannot run any more.

        Raises:
            ChildGivenUpError: always, once it returns.
        """
        await self._supervisor.wait()

    async def stop(self) -> None:
        """The gateway's answers end first; workers drain while the dispatcher still takes back what they
        refuse; the bus goes last."""
        self.stopping = True
        await end_tasks([task for task in (self._desk, self._trust_watch) if task is not None])
        last = (*self.plan.dispatcher_names, BUS)
        workers = [name for name in self.pids if name not in (EXPORTER, GATEWAY, *last)]
        for group in ((EXPORTER, GATEWAY), workers, self.plan.dispatcher_names, (BUS,)):
            await self._supervisor.stop(group)
        await asyncio.gather(*self._crew_tasks, return_exceptions=True)
        forget_state(self.plan.data)
        self._held.close()

    def kill(self) -> None:
        """End every child at once; what was running is given out again by the next yard on this folder."""
        self._supervisor.kill()

    async def _start(self) -> None:
        assert self._server is not None
        self._supervisor.start(bus_child(self._server))
        try:
            async with asyncio.timeout(BUS_START_SECONDS):
                bus = await connect_when_up(self.settings, name="supervisor")
        except TimeoutError as error:
            raise YardStartError(missing=(BUS,), waited_seconds=BUS_START_SECONDS) from error
        async with bus, Client(settings=self.settings, name="supervisor") as client:
            # Declared before anybody else is there, so that no two processes race for it.
            await declare(bus, topology(self.settings))
            for name in self.plan.dispatcher_names:
                self._supervisor.start(dispatcher_child(self.plan, self.url, name))
            for name in self.plan.worker_names:
                self._supervisor.start(worker_child(self.plan, self.url, name))
            if self._gateway_port is not None:
                self._supervisor.start(gateway_child(self.plan, self.url, self._gateway_port))
            if self.plan.metrics is not None:
                self._supervisor.start(exporter_child(self.plan, self.url, self.plan.metrics))
            await self._all_present(bus, client)

    async def _all_present(self, bus: Bus, client: Client) -> None:
        missing: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(self._start_seconds):
                while missing := await self._missing(bus, client):  # noqa: ASYNC110  # other processes are polled
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise YardStartError(missing=missing, waited_seconds=self._start_seconds) from error

    async def _missing(self, bus: Bus, client: Client) -> tuple[str, ...]:
        try:
            status = await ask_dispatcher(bus)
            there = len(status.dispatchers) if status is not None else 0
            # An advert of an earlier life expires by itself, but until then it must not pass for this one.
            present = {(advert.worker, advert.pid) for advert in await client.workers()}
        except (nats.errors.Error, TimeoutError, BusUnavailableError):
            return (BUS,)  # it crashed and comes back
        pids = self.pids
        dispatchers = self.plan.dispatcher_names[there:]
        if self._gateway_port is not None and not await is_listening(self._gateway_port):
            dispatchers = (*dispatchers, GATEWAY)
        return (*dispatchers, *(name for name in self.plan.worker_names if (name, pids[name]) not in present))

    def _changed(self, change: ChildChange) -> None:
        self._write_state()
        self._on_change(change)

    def _write_state(self) -> None:
        if self._server is None:
            return
        state = YardState(
            url=self.url,
            prefix=self.plan.prefix,
            pid=os.getpid(),
            model=self.plan.model,
            engine=self.plan.engine,
            adapters=str(self.plan.adapters) if self.plan.adapters is not None else None,
            gateway=self.gateway_url,
            security=str(self.plan.security.absolute()) if self.plan.security is not None else None,
            ready=self._ready,
            children=self.pids,
        )
        write_state(self.plan.data, state)
