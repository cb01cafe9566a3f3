"""A server with the generated configuration, over TLS, and a whole yard on it for all of these tests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from tests.bus.conftest import RunningServer, running_server

from lorayard import Client
from lorayard.settings import ClientSettings
from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_cli.security.claims import Key, KeyKind, sign_claims, user_claims
from lorayard_cli.security.folder import SecurityFolder, credentials_file
from lorayard_cli.security.trust import Trust, new_trust, now_utc
from lorayard_dispatcher.app import run_dispatcher
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.settings import S, YardSettings
from lorayard_workers.app import run_worker
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter

START_SECONDS = 60.0
ADAPTER = "acme/tiny/echo"
TENANTS = ("acme", "beta")
_MATRIX = "matrix: "


@dataclass(frozen=True, slots=True)
class SecureServer:
    """A nats-server with a yard's keys."""

    folder: SecurityFolder
    running: RunningServer

    def settings(self, user: str, **given: Any) -> ClientSettings:
        """Of a process that is this user."""
        told = self.folder.variables(self.folder.read(), user)
        values = {name.removeprefix("LORAYARD_").lower(): value for name, value in told.items()}
        return ClientSettings.model_validate({"url": self.running.url, **values, **given})

    async def connect(self, user: str, **given: Any) -> Bus:
        """A connection of this user."""
        return await connect(self.settings(user, **given), name=f"test-{user}")

    def client(self, user: str) -> Client:
        """A client that is this user."""
        return Client(settings=self.settings(user))

    def change(self, decide: Callable[[Trust], Trust]) -> Trust:
        """Other keys, and the server knows of them."""
        trust = self.folder.change(decide)
        self.running.reload()
        return trust


def start_server(folder: Path) -> SecureServer:
    """One whose log lies in the folder, with the keys of two tenants."""
    keys = SecurityFolder(folder / "security")
    keys.create(new_trust(prefix="yard", hosts=(), now=now_utc(), days=30, tenants=TENANTS))
    server = prepare_bus_server(folder / "bus", trust=keys.trust_file)
    running = RunningServer(server, folder / "server.log")
    running.start()
    return SecureServer(keys, running)


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """Without a yard: whatever is asked there changes nothing."""
    server = start_server(tmp_path_factory.mktemp("bare"))
    yield server
    server.running.kill()


@pytest.fixture
def own_secure_server(tmp_path: Path) -> Iterator[SecureServer]:
    """For one test, whose keys it may change."""
    server = start_server(tmp_path)
    yield server
    server.running.kill()


@pytest.fixture(scope="session")
def secure_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """A dispatcher and an echo worker with one adapter, each as its role, on a loop in a thread."""
    folder = tmp_path_factory.mktemp("yard")
    server = start_server(folder)
    make_tiny_adapter(folder / "adapters" / ADAPTER / "1", seed=1, targets=("q_proj",))
    started: Future[asyncio.Event] = Future()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, server, folder, started), name="secure-yard")
    thread.start()
    try:
        stop = started.result(START_SECONDS)
        yield server
        loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(START_SECONDS)
        server.running.kill()


def _run(
    loop: asyncio.AbstractEventLoop, server: SecureServer, folder: Path, started: Future[asyncio.Event]
) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_yard(server, folder, started))
    except BaseException as error:
        if not started.done():
            started.set_exception(error)
        raise
    finally:
        loop.close()


async def _yard(server: SecureServer, folder: Path, started: Future[asyncio.Event]) -> None:
    stop = asyncio.Event()
    async with await connected(server, "operator") as bus:
        await declare(bus, topology(server.settings("operator")))
    usual = {"name": "w1", "engine": "echo", "adapters_dir": folder / "adapters", "drain_seconds": 1.0}
    dispatcher = _as(DispatcherSettings, server.settings("dispatcher"), name="d1")
    worker = _as(WorkerSettings, server.settings("worker"), **usual, pulled_dir=folder / "pulled")
    processes = [
        asyncio.create_task(run_dispatcher(dispatcher, stop=stop), name="dispatcher"),
        asyncio.create_task(run_worker(worker, stop=stop), name="worker"),
    ]
    async with server.client("operator") as client:
        while not await client.workers():  # noqa: ASYNC110  # another process is polled
            await asyncio.sleep(0.05)
    started.set_result(stop)
    await asyncio.gather(*processes)


def _as(kind: type[S], base: YardSettings, **given: Any) -> S:
    return kind.model_validate({**base.model_dump(exclude={"tenant", "actor", "idempotency_salt"}), **given})


async def connected(server: SecureServer, user: str) -> Bus:
    """A connection to a server that is just starting."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            return await server.connect(user)
        except BusUnavailableError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)


async def is_refused(bus: Bus, subject: str, body: bytes = b"") -> bool:
    """Whether nobody answers there: not exported, or not permitted."""
    with suppress(nats.errors.NoRespondersError, nats.errors.TimeoutError):
        await bus.nc.request(subject, body, timeout=0.3)
        return False
    return True


@pytest.fixture
def show_matrix(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Have a line of a table stand at the end of pytest's output."""
    return lambda row, cells: record_property(_MATRIX + row, cells)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        (name.removeprefix(_MATRIX), str(cells))
        for report in terminalreporter.stats.get("passed", [])
        if getattr(report, "when", None) == "call"
        for name, cells in report.user_properties
        if name.startswith(_MATRIX)
    ]
    if rows:
        terminalreporter.section("who may do what on the bus")
        for row, cells in rows:
            terminalreporter.write_line(f"{row:<52} {cells}")


def credentials_for_all(server: SecureServer, tenant: str | None, folder: Path) -> Path:
    """Of somebody who has an account's own key: nothing but the account binds him."""
    trust = server.folder.read()
    account = trust.yard if tenant is None else trust.tenants[tenant]
    key, now = Key.new(KeyKind.USER), int(time.time())
    claims = user_claims(publish=[">"], subscribe=[">"])
    token = sign_claims(account.key, key.public, "anybody", claims, issued=now)
    file = folder / "anybody.creds"
    file.write_text(credentials_file(token, key.seed))
    return file


@pytest.fixture
def own_server_url(tmp_path: Path) -> Iterator[str]:
    """A server without any configuration of who may do what."""
    with running_server(tmp_path) as running:
        yield running.url
