"""One bench for two yards: the one in memory, and a real one with server, dispatcher and echo worker.

The first words of a prompt say what becomes of its run, in both: `fail 2 engine_error` (its first two runs),
`refuse`, `wait 0.3` (the run takes so long), `never` (until it is ended). Any other prompt is echoed.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import structlog
from tests.bus.conftest import RunningServer, Yard
from tests.conftest import LOOK_SECONDS, Tally

from lorayard import Client, JobHandle
from lorayard.loop_thread import LoopThread
from lorayard.testing import Answer, HeldJob, MemoryYard, Permanent, Retryable
from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_shared.bus.connection import connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest

WAIT_SECONDS = 60.0
STEP_SECONDS = 0.01
"""Of the clock in memory, at each turn of the test's loop."""
FOREVER_SECONDS = 1e6

SECONDS = 60.0
"""No answer here takes as long, also on a busy machine; who waits for ever fails."""

SOON = {"base_seconds": 0.1, "cap_seconds": 0.1}
"""A retry policy for tests."""

Until = Callable[..., Awaitable[None]]


async def failure_of(handle: JobHandle) -> tuple[str, str, str | None]:
    """Kind, code and field of the error with which a job ends."""
    error = (await handle.outcome(SECONDS)).error
    assert error is not None
    return error.kind, error.code, error.field


_tenants = itertools.count(1)


class Bench(Protocol):
    """A yard under test."""

    def client(self, tenant: str) -> Client:
        """Not open yet."""
        ...

    def run(self) -> None:
        """Start what does the jobs."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


class Act:
    """What a prompt says shall become of its run."""

    def __init__(self, prompt: str) -> None:
        words = prompt.split()
        known = words[0] if words else ""
        self.failures = int(words[1]) if known == "fail" else 0
        self.code = words[2] if known == "fail" else ""
        self.refuses = known == "refuse"
        self.seconds = float(words[1]) if known == "wait" else FOREVER_SECONDS if known == "never" else 0.0


class MemoryBench:
    """Does the jobs while the test awaits anything; each turn of the loop is a little time."""

    def __init__(self) -> None:
        self.yard = MemoryYard()
        self._running: list[tuple[float, HeldJob]] = []
        self._task: asyncio.Task[None] | None = None
        self._runs: Counter[str] = Counter()

    def client(self, tenant: str) -> Client:
        return self.yard.client(tenant)

    def run(self) -> None:
        self._task = asyncio.create_task(self._work(), name="memory-bench")

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _work(self) -> None:
        while True:
            while (held := self.yard.take()) is not None:
                self._running.append((self._end(held), held))
            for end, held in list(self._running):
                if not held.renew():
                    self._running.remove((end, held))
                elif end <= self.yard.clock.now:
                    self._running.remove((end, held))
                    self._finish(held)
            self.yard.clock.advance(STEP_SECONDS)
            await asyncio.sleep(0)

    def _end(self, held: HeldJob) -> float:
        request, seconds = held.job.request, Act(held.job.prompt).seconds
        limits = [each for each in (request.run_limit_seconds, request.run_limit_hard_seconds) if each]
        return self.yard.clock.now + min([seconds, *limits])

    def _finish(self, held: HeldJob) -> None:
        act, job = Act(held.job.prompt), held.job
        self._runs[job.prompt] += 1
        if act.refuses:
            held.fail(Permanent("bad_prompt", "as the prompt says", field="prompt"))
        elif self._runs[job.prompt] <= act.failures:
            held.fail(Retryable(act.code, "as the prompt says"))
        else:
            limits = (job.request.run_limit_seconds, job.request.run_limit_hard_seconds)
            held.answer(Answer(text=job.prompt, took_seconds=act.seconds if any(limits) else 0.0))


class RealBench:
    """One yard for all tests: each has a tenant of its own."""

    def __init__(self, settings: YardSettings) -> None:
        self._settings = settings

    def client(self, tenant: str) -> Client:
        return Client(tenant=tenant, settings=self._settings)

    def run(self) -> None:
        """It runs already."""

    async def stop(self) -> None:
        """It is still needed."""


class RealYard:
    """Server, dispatcher and worker, on a loop in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._server = RunningServer(prepare_bus_server(folder / "bus"), folder / "server.log")
        self.settings = YardSettings(url=self._server.url, prefix="conform", ack_wait_seconds=2.0)
        self._thread = LoopThread()
        self._runs: Counter[str] = Counter()
        self._ended: asyncio.Event
        self._task: asyncio.Task[None]

    def start(self) -> None:
        self._server.start()
        before = structlog.get_config()
        quiet = structlog.make_filtering_bound_logger(logging.ERROR)
        structlog.configure(wrapper_class=quiet)  # it also runs between tests, when pytest catches no output
        try:
            self._thread.call(self._begin())
        finally:
            structlog.configure(**before)

    def stop(self) -> None:
        self._thread.call(self._end())
        self._thread.stop()
        self._server.kill()

    async def _begin(self) -> None:
        ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._task = asyncio.create_task(self._run(ready), name="conformance-yard")
        begun = asyncio.create_task(ready.wait())
        await asyncio.wait({self._task, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if self._task.done():
            self._task.result()

    async def _end(self) -> None:
        self._ended.set()
        await self._task

    async def _run(self, ready: asyncio.Event) -> None:
        async with await _patient(lambda: connect(self.settings, name="conformance")) as bus:
            await declare(bus, topology(self.settings))
            yard = Yard(self.settings, bus, _wait_until)
            await yard.dispatcher()
            await yard.worker(engine=EchoEngine(rows=64, script=self._script))
            ready.set()
            await self._ended.wait()
            await yard.stop()

    def _script(self, request: GenerationRequest) -> Scripted:
        prompt = request.prompt if isinstance(request.prompt, str) else ""
        act = Act(prompt)
        self._runs[prompt] += 1
        if act.refuses:
            return Scripted(outcome=_failed(FailureKind.PERMANENT, "bad_prompt", field="prompt"))
        if self._runs[prompt] <= act.failures:
            return Scripted(outcome=_failed(FailureKind.RETRYABLE, act.code))
        return Scripted(delay_seconds=act.seconds)


def _failed(kind: FailureKind, code: str, field: str | None = None) -> Failed:
    return Failed(request_id="", kind=kind, code=code, message="as the prompt says", field=field)


async def _patient(connecting: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The server has only just been started."""
    until = asyncio.get_running_loop().time() + WAIT_SECONDS
    while True:
        try:
            return await connecting()
        except Exception:  # nats-py raises several; the last is told
            if asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(LOOK_SECONDS)


async def _wait_until(condition: Callable[[], Any], *, seconds: float = WAIT_SECONDS) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return
        assert asyncio.get_running_loop().time() < until, "the yard did not begin"
        await asyncio.sleep(LOOK_SECONDS)


@pytest.fixture(scope="package")
def conformance_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealYard]:
    yard = RealYard(tmp_path_factory.mktemp("conformance"))
    yard.start()
    yield yard
    yard.stop()


@pytest.fixture(params=[pytest.param("memory"), pytest.param("real", marks=pytest.mark.bus)])
async def bench(request: pytest.FixtureRequest, tally: Tally) -> AsyncIterator[Bench]:
    """Either yard; its behaviours are counted at the end of pytest's output."""
    side = str(request.param)
    bench: Bench = (
        MemoryBench() if side == "memory" else RealBench(request.getfixturevalue("conformance_yard").settings)
    )
    bench.run()
    tally(f"conformance, {side} yard", 1)
    yield bench
    await bench.stop()


@pytest.fixture
def tenant() -> str:
    """Of this test alone."""
    return f"tenant-{next(_tenants)}"


@pytest.fixture
async def client(bench: Bench, tenant: str) -> AsyncIterator[Client]:
    async with bench.client(tenant) as client:
        yield client
