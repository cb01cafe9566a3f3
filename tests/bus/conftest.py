"""A real nats-server per test process, and a yard of its own (a prefix) per test."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from tests.bus.yard_pool import PooledYard, YardPool

from lorayard_cli.embedded.bus_server import BusServer, prepare_bus_server
from lorayard_dispatcher.app import run_dispatcher
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.names import key_token
from lorayard_schemas.result import JobResult
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings
from lorayard_workers.adapters.catalog import Catalog
from lorayard_workers.app import run_worker
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.equipment import Equipment
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter

MEMORY = Path("/dev/shm")
"""What lies here outlives a killed server. Declaring and removing a yard, as every test does, takes half as
long as on a disk."""

ENOUGH_BYTES = 4 * 2**30
"""For the servers of all test processes; containers may have 64 MB."""

ANSWER_SECONDS = 30.0
"""For what answers at once, where others keep the machine busy."""

RESERVED_BYTES = 2**40
"""What yards may reserve, though the server sees less room: a test stores a few megabytes."""

ADAPTER = "acme/tiny/echo"
"""The one adapter in the folder of the fixture `adapters`."""


class RunningServer:
    """A nats-server that tests may kill and start again on the same port and store."""

    def __init__(self, server: BusServer, log: Path) -> None:
        self.server = server
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.server.command(), stdout=log, stderr=log)

    def pause(self) -> None:
        """It keeps its connections, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Read its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_server(folder: Path) -> Generator[RunningServer]:
    """A server whose store lies in memory where there is room; its log in the folder."""
    server = prepare_bus_server(folder / "bus")
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    with tempfile.TemporaryDirectory(
        prefix="lorayard-test-", dir=MEMORY if in_memory else folder, ignore_cleanup_errors=True
    ) as store:
        config = json.loads(server.config.read_text())
        config["jetstream"] |= {"store_dir": store, "max_file_store": RESERVED_BYTES}
        server.config.write_text(json.dumps(config))
        running = RunningServer(server, folder / "server.log")
        running.start()
        yield running
        running.kill()


@pytest.fixture(scope="session")
def bus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("bus")) as running:
        asyncio.run(_hold_open(running.url))
        yield running


async def _hold_open(url: str) -> None:
    """A stream that stays: with its last one a server removes their folder too, in the midst of what the next
    test declares."""
    settings = YardSettings(url=url, connect_timeout_seconds=ANSWER_SECONDS)
    async with await connect(settings, name="hold-open") as bus:
        await bus.api("STREAM.CREATE.HOLD_OPEN", {"name": "HOLD_OPEN", "subjects": ["hold.open"]})


@pytest.fixture(scope="session")
def bus_url(bus_server: RunningServer) -> str:
    return bus_server.url


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server for one test alone, to be killed at will."""
    with running_server(tmp_path) as running:
        yield running


async def _declare(settings: YardSettings) -> None:
    """Of a server that may still start."""
    patient = settings.model_copy(update={"connect_timeout_seconds": ANSWER_SECONDS})
    async with await connect(patient, name="declare") as bus:
        await declare(bus, topology(settings))


@pytest.fixture(scope="session")
def yard_pool(bus_url: str) -> YardPool:
    return YardPool(bus_url)


@pytest.fixture
async def settings(make_settings: Callable[..., Awaitable[YardSettings]]) -> YardSettings:
    """Settings of a fresh yard whose streams, buckets and consumers are declared."""
    return await make_settings()


@pytest.fixture
async def bus(settings: YardSettings) -> AsyncIterator[Bus]:
    async with await connect(settings, name="test") as bus:
        yield bus


@pytest.fixture
async def make_settings(yard_pool: YardPool) -> AsyncIterator[Callable[..., Awaitable[YardSettings]]]:
    """A fresh declared yard with settings of the test's choice."""

    taken: list[PooledYard] = []

    async def make(**given: object) -> YardSettings:
        yard, settings = await yard_pool.take(given)
        taken.append(yard)
        return settings

    yield make
    for yard in taken:
        yard_pool.give_back(yard)


class Process:
    """A dispatcher or worker that runs as a task of the test."""

    def __init__(self, task: asyncio.Task[None], stop: asyncio.Event) -> None:
        self._task = task
        self._stop = stop

    async def stop(self) -> None:
        """Stop it as SIGTERM does; its own failure is the test's."""
        self._stop.set()
        await self._task

    @property
    def running(self) -> bool:
        return not self._task.done()

    def check(self) -> None:
        """Fail with the error of a process that ended before its time."""
        if self._task.done():
            self._task.result()
            pytest.fail(f"{self._task.get_name()} ended")


class Yard:
    """The dispatchers and workers of one test, in its process, over a real bus."""

    def __init__(self, settings: YardSettings, bus: Bus, wait_until: Callable[..., Awaitable[None]]) -> None:
        self.settings = settings
        self.bus = bus
        self.wait_until = wait_until
        self._started: list[Process] = []

    async def dispatcher(self, name: str = "d1", **given: object) -> Process:
        """Start a dispatcher; it answers when this returns."""
        values = {**self.settings.model_dump(), "name": name, **given}
        stop = asyncio.Event()
        run = run_dispatcher(DispatcherSettings.model_validate(values), stop=stop)
        process = self._keep(run, stop, name)
        await self.wait_until(lambda: self._answers(process, name))
        return process

    async def worker(
        self, name: str = "w1", *, engine: Engine | str | None = None, **given: object
    ) -> Process:
        """Start a worker, an echo one unless given an engine or the name of one; it is advertised when this
        returns."""
        # Without a dispatcher it waits for the test to play one.
        kind = engine if isinstance(engine, str) else "echo"
        usual = {"name": name, "engine": kind, "drain_seconds": 5.0, "emergency": False}
        values = {**self.settings.model_dump(), **usual, **given}
        stop = asyncio.Event()
        settings = WorkerSettings.model_validate(values)
        run = (
            run_worker(settings, stop=stop)
            if engine is None or isinstance(engine, str)
            else run_worker(settings, stop=stop, equip=lambda _: Equipment(engine=engine, catalog=Catalog()))
        )
        process = self._keep(run, stop, name)
        await self.wait_until(lambda: self._advertised(process, name))
        return process

    async def publish(
        self,
        body: Job | bytes,
        *,
        lane: Lane = Lane.NORMAL,
        tenant: str = "acme",
        adapter: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> int:
        """Publish a job; returns its sequence."""
        subject = self.bus.subjects.job(JobAddress(lane=lane, tenant=tenant, adapter=adapter))
        data = encode(body) if isinstance(body, Job) else body
        return (await self.bus.js.publish(subject, data, headers=headers)).seq

    async def result(self, job: str, *, tenant: str = "acme") -> JobResult:
        """The job's stored result, once it is there."""
        found: list[JobResult] = []

        async def stored() -> bool:
            result = await self.stored(job, tenant=tenant)
            found.extend([result] if result is not None else [])
            return result is not None

        await self.wait_until(stored)
        return found[0]

    async def stored(self, job: str, *, tenant: str = "acme") -> JobResult | None:
        """The job's result, if it is there now."""
        subject = self.bus.subjects.result(tenant, job)
        try:
            found = await self.bus.js.get_msg(
                self.bus.subjects.stream("results"), subject=subject, direct=True
            )
        except nats.js.errors.NotFoundError:
            return None
        return decode(JobResult, found.data or b"")

    async def cancel(self, job: str, *, tenant: str = "acme") -> CancelOutcome:
        """Ask a dispatcher to end a job."""
        body = encode(CancelJob(tenant=tenant, job=job))
        reply = await self.bus.nc.request(
            self.bus.subjects.dispatcher("cancel"), body, timeout=ANSWER_SECONDS
        )
        return decode(CancelReply, reply.data).outcome

    async def status(self) -> DispatcherStatus:
        """What a dispatcher tells of itself."""
        reply = await self.bus.nc.request(self.bus.subjects.dispatcher("status"), b"", timeout=ANSWER_SECONDS)
        return decode(DispatcherStatus, reply.data)

    async def advert(self, worker: str = "w1") -> WorkerAdvert:
        """What a worker tells of itself."""
        bucket = await self.bus.js.key_value(self.bus.subjects.bucket("workers"))
        return decode(WorkerAdvert, (await bucket.get(worker)).value or b"")

    async def record(self, adapter: str, version: str = "1") -> AdapterRecord:
        """What is registered of an adapter."""
        bucket = await self.bus.js.key_value(self.bus.subjects.bucket("adapters"))
        entry = await bucket.get(f"{key_token(adapter)}.{key_token(version)}")
        return decode(AdapterRecord, entry.value or b"")

    async def nothing_left(self) -> None:
        """Wait until every job has left its stream, which it does a moment after its result is stored."""

        async def gone() -> bool:
            return await self.left() == 0

        await self.wait_until(gone)

    async def left(self, kind: str = "jobs") -> int:
        """Messages in a stream."""
        info = await self.bus.api(f"STREAM.INFO.{self.bus.subjects.stream(kind)}")
        return int(info["state"]["messages"])

    async def dead_letters(self) -> list[DeadLetter]:
        """Every dead letter of the yard."""
        stream = self.bus.subjects.stream("dead")
        return [
            decode(DeadLetter, (await self.bus.js.get_msg(stream, seq=number)).data or b"")
            for number in range(1, await self.left("dead") + 1)
        ]

    async def stop(self) -> None:
        """Stop what runs, the newest first."""
        for process in reversed(self._started):
            if process.running:
                await process.stop()

    def _keep(self, run: Coroutine[object, object, None], stop: asyncio.Event, name: str) -> Process:
        process = Process(asyncio.create_task(run, name=name), stop)
        self._started.append(process)
        return process

    async def _answers(self, process: Process, dispatcher: str) -> bool:
        process.check()
        try:
            return (await self.status()).dispatcher == dispatcher
        except nats.errors.Error:
            return False

    async def _advertised(self, process: Process, worker: str) -> bool:
        process.check()
        bucket = await self.bus.js.key_value(self.bus.subjects.bucket("workers"))
        try:
            return bool((await bucket.get(worker)).value)
        except nats.js.errors.KeyNotFoundError:
            return False


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """A folder with one adapter, version 1."""
    make_tiny_adapter(tmp_path / "adapters" / ADAPTER / "1", seed=1, targets=("q_proj",))
    return tmp_path / "adapters"


@pytest.fixture
async def yard(
    settings: YardSettings, bus: Bus, wait_until: Callable[..., Awaitable[None]]
) -> AsyncIterator[Yard]:
    """An empty yard to start dispatchers and workers in."""
    yard = Yard(settings, bus, wait_until)
    yield yard
    await yard.stop()


@pytest.fixture
async def long_lease_yard(
    make_settings: Callable[..., Awaitable[YardSettings]], wait_until: Callable[..., Awaitable[None]]
) -> AsyncIterator[Yard]:
    """A yard whose leases outlast every wait here: what comes again was given back."""
    settings = await make_settings(ack_wait_seconds=600.0)
    async with await connect(settings, name="test") as bus:
        yard = Yard(settings, bus, wait_until)
        yield yard
        await yard.stop()


@pytest.fixture
def patient_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel looks for its job as long as it takes: what it could not look for in a moment counts as there,
    and a busy machine has none."""
    monkeypatch.setattr("lorayard_shared.jobs.cancelling.LOOK_SECONDS", ANSWER_SECONDS)


@pytest.fixture
async def own_yard(
    own_settings: YardSettings, wait_until: Callable[..., Awaitable[None]]
) -> AsyncIterator[Yard]:
    """An empty yard on a server that the test may kill."""
    async with await connect(own_settings, name="test") as bus:
        yard = Yard(own_settings, bus, wait_until)
        yield yard
        await yard.stop()


@pytest.fixture
async def own_settings(own_server: RunningServer) -> YardSettings:
    """A declared yard on a server of the test's own."""
    settings = YardSettings(url=own_server.url, prefix="own", ack_wait_seconds=2.0)
    await _declare(settings)
    return settings
