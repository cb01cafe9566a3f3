"""`lorayard doctor` tells apart why there is no bus, and says what mends each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from tests.bus.conftest import RunningServer

from lorayard import BusUnavailableError
from lorayard_cli.checks.bus import check_bus
from lorayard_cli.checks.finding import Finding, Level
from lorayard_cli.checks.reach import why_unreachable
from lorayard_cli.embedded.bus_server import free_port, prepare_bus_server
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

Answers = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

USERS = {
    "accounts": {
        "WITH": {
            "jetstream": "enabled",
            "users": [
                {"user": "me", "password": "secret"},
                {"user": "mute", "password": "secret", "permissions": {"publish": ["allowed.>"]}},
            ],
        },
        "WITHOUT": {"users": [{"user": "plain", "password": "secret"}]},
        "FULL": {
            "jetstream": {"max_file": 10 * 2**20, "max_mem": 2**20, "max_streams": 1},
            "users": [{"user": "small", "password": "secret"}],
        },
    }
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with accounts: one with JetStream, one without, one with hardly any."""
    folder = tmp_path_factory.mktemp("guarded")
    server = prepare_bus_server(folder / "bus")
    config = json.loads(server.config.read_text())
    server.config.write_text(json.dumps({**config, **USERS}))
    running = RunningServer(server, folder / "server.log")
    running.start()
    asyncio.run(_up(running.url))
    yield running
    running.kill()


async def _up(url: str) -> None:
    settings = YardSettings(url=url, user="me", password=SecretStr("secret"))
    async with await connect_when_up(settings, name="test"):
        pass


async def reason(url: str, **given: object) -> str:
    """What the doctor says of a bus that cannot be had."""
    settings = YardSettings.model_validate({"url": url, "connect_timeout_seconds": 0.5, **given})
    with pytest.raises(BusUnavailableError) as refused:
        await connect(settings, name="test")
    finding = await why_unreachable(settings, refused.value.reason)
    assert finding.level is Level.FAIL
    assert finding.mend
    return finding.message


@asynccontextmanager
async def listening(answers: Answers) -> AsyncGenerator[str]:
    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_nobody_and_no_host_are_two_things__f6() -> None:
    assert "no NATS server answers at 127.0.0.1" in await reason(f"nats://127.0.0.1:{free_port(0)}")
    assert "there is no host" in await reason("nats://no-such-host.invalid:4222")


async def test_of_several_addresses_each_is_named_unless_a_server_is_at_one__f6(
    guarded: RunningServer,
) -> None:
    nobody = [f"nats://127.0.0.1:{free_port(0)}" for _ in range(2)]
    told = await reason(",".join(nobody))
    assert [f"no NATS server answers at {one.removeprefix('nats://')}" in told for one in nobody] == [
        True
    ] * 2
    assert "wants credentials, and none are given" in await reason(f"{nobody[0]},{guarded.url}")


async def test_an_http_port_is_named_as_one__f6() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
        writer.close()

    async with listening(http) as url:
        assert "speaks HTTP, not NATS (HTTP/1.1 404 Not Found)" in await reason(url)


async def test_another_protocol_and_one_that_is_silent_are_named__f6() -> None:
    async def ssh(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async def closed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(ssh) as url:
        assert "is no NATS server: it begins with 'SSH-2.0-OpenSSH_9.2'" in await reason(url)
    async with listening(closed) as url:
        assert "takes connections" in await reason(url)


@pytest.mark.parametrize("said", [b"[]", b"{", b"7"])
async def test_a_server_whose_first_words_are_none_is_told_too__g3(said: bytes) -> None:
    async def odd(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO " + said + b"\r\n")
        writer.close()

    async with listening(odd) as url:
        finding = await why_unreachable(YardSettings(url=url), "a reason")
    assert "a reason" in finding.message


async def test_a_server_that_is_stopped_takes_connections_and_says_nothing__f6(
    own_server: RunningServer,
) -> None:
    async with await connect_when_up(YardSettings(url=own_server.url), name="test"):
        pass
    (pid,) = [process.pid for process in [own_server._process] if process is not None]  # pyright: ignore[reportPrivateUsage]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "says nothing" in await reason(own_server.url)
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_missing_and_wrong_credentials_are_told_apart_and_never_shown__f6(
    guarded: RunningServer,
) -> None:
    assert "wants credentials, and none are given" in await reason(guarded.url)
    wrong = await reason(guarded.url, user="me", password=SecretStr("hunter2"))
    assert "refuses user 'me'" in wrong
    assert "hunter2" not in wrong
    in_address = await reason(guarded.url.replace("nats://", "nats://me:hunter2@"))
    assert "refuses the login in LORAYARD_URL" in in_address
    assert "hunter2" not in in_address


async def found(guarded: RunningServer, user: str, check: str) -> Finding:
    settings = YardSettings(url=guarded.url, user=user, password=SecretStr("secret"))
    async with await connect(settings, name="test") as bus:
        findings = {one.check: one async for one in check_bus(bus, mending=False)}
    return findings[check]


@pytest.mark.parametrize(
    ("user", "words"),
    [("plain", "JetStream is off"), ("mute", "this user may not ask")],
)
async def test_a_bus_without_jetstream_and_one_that_may_not_be_asked_are_named__f6(
    guarded: RunningServer, user: str, words: str
) -> None:
    finding = await found(guarded, user, "jetstream")
    assert (finding.level, words in finding.message) == (Level.FAIL, True)
    assert finding.mend


async def test_missing_streams_and_an_account_that_is_too_small_are_named__f6(guarded: RunningServer) -> None:
    finding = await found(guarded, "me", "declarations")
    assert (finding.level, finding.mend) == (Level.FAIL, "lorayard doctor --mend")
    assert "is missing" in finding.message
    assert "10" in (await found(guarded, "small", "jetstream")).message
    settings = YardSettings(url=guarded.url, user="small", password=SecretStr("secret"))
    async with await connect(settings, name="test") as bus:
        mended = [one async for one in check_bus(bus, mending=True) if one.check == "declarations"]
    assert [one.level for one in mended] == [Level.FAIL]
    assert "free disk space" in mended[0].message
