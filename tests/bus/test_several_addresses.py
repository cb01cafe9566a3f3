"""A bus with several nodes: who starts while one of them is down finds the others (G2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import RunningServer, running_server

from lorayard import BusUnavailableError, Client
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

Two = tuple[RunningServer, RunningServer]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """Servers that know nothing of each other, so that only their addresses lead to both."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with running_server(tmp_path / "a") as first, running_server(tmp_path / "b") as second:
        for one in (first, second):
            async with await connect_when_up(YardSettings(url=one.url), name="test"):
                pass
        yield first, second


@pytest.mark.parametrize("down", [0, 1])
async def test_who_starts_while_a_node_is_down_finds_another__g2(two: Two, down: int) -> None:
    settings = YardSettings(url=",".join(one.url for one in two))
    two[down].kill()
    async with await connect(settings, name="test") as bus:
        assert bus.nc.connected_url is not None
        assert bus.nc.connected_url.geturl() == two[1 - down].url


@pytest.fixture
async def silent_url() -> AsyncIterator[str]:
    """As of a machine that is off, or a server that hangs: connections are taken, and nothing is said."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in taken:
        writer.close()
    server.close()


async def test_a_node_that_says_nothing_takes_not_all_the_time_that_the_others_have__g2(
    two: Two, silent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client has 2 s for all, and waits as long for one node."""

    def as_given(_pool: list[object]) -> None: ...

    monkeypatch.setattr("nats.aio.client.shuffle", as_given)
    settings = YardSettings(url=f"{silent_url},{two[0].url}", connect_timeout_seconds=2.0)
    async with await connect(settings, name="test") as bus:
        assert bus.nc.connected_url is not None
        assert bus.nc.connected_url.geturl() == two[0].url


async def test_who_is_on_a_node_that_dies_goes_on_at_another_of_its_addresses__g2(
    two: Two, wait_until: Callable[..., Awaitable[None]]
) -> None:
    first, second = two
    async with await connect(YardSettings(url=f"{first.url}, {second.url}"), name="test") as bus:

        def where() -> str | None:
            return bus.nc.connected_url.geturl() if bus.connected and bus.nc.connected_url else None

        began = where()
        two[began == second.url].kill()
        await wait_until(lambda: where() == (first.url if began == second.url else second.url))


async def test_where_none_of_them_answers_all_are_named_and_no_login_is__g2(two: Two) -> None:
    first, second = two
    first.kill()
    second.kill()
    url = f"{first.url.replace('nats://', 'nats://me:secret@')},{second.url}"
    with pytest.raises(BusUnavailableError) as refused:
        async with Client(url):
            pass
    for one in two:
        assert one.url.removeprefix("nats://") in str(refused.value)
    assert "secret" not in str(refused.value)
