"""A version is archived as an alias or a rule comes to lead to it: in whatever order the two go (D2, D4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from lorayard import (
    AdapterState,
    AliasRefusedError,
    Client,
    GuardRule,
    RouteRule,
    RouteTable,
    RuleFileError,
    VersionNamedError,
)
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"
STABLE, SECOND = f"{NAME}@stable", f"{NAME}@2"
ANA = Author(actor="ana")
RULES = RouteTable(rules=(RouteRule(name="all", adapter=SECOND),))


class Paced:
    """A client that stops once, before a certain request to the server, until it is let go."""

    def __init__(self, client: Client) -> None:
        self.client = client
        nc = client._open_link.bus.nc  # pyright: ignore[reportPrivateUsage]
        self._request = nc.request
        nc.request = self._paced  # type: ignore[method-assign]
        self._left = 0
        self._stands, self._free = asyncio.Event(), asyncio.Event()
        self._free.set()
        self._change: asyncio.Task[object] | None = None

    async def begin(self, change: Coroutine[Any, Any, object], *, requests: int) -> bool:
        """Make so many requests of a change; whether it has more to make."""
        self._left = requests
        self._stands.clear()
        self._free.clear()
        self._change = asyncio.create_task(change)
        stands = asyncio.create_task(self._stands.wait())
        await asyncio.wait({self._change, stands}, return_when=asyncio.FIRST_COMPLETED)
        stands.cancel()
        return not self._change.done()

    async def end(self) -> bool:
        """Make the rest; whether it was done, and not refused."""
        assert self._change is not None
        self._free.set()
        try:
            await self._change
        except (VersionNamedError, AliasRefusedError, RuleFileError):
            return False
        return True

    async def _paced(self, *arguments: Any, **more: Any) -> Msg:
        if self._left == 0:
            self._stands.set()
            await self._free.wait()
        else:
            self._left -= 1
        return await self._request(*arguments, **more)


@pytest.fixture
async def two(settings: YardSettings, bus: Bus, tmp_path: Path) -> AsyncIterator[tuple[Paced, Paced]]:
    """Two clients of a yard where versions 1 and 2 of an adapter serve."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(settings=settings)) for _ in range(2)]
        for version in ("1", "2"):
            folder = make_tiny_adapter(tmp_path / version, seed=int(version))
            await clients[0].adapters.push(folder, name=NAME, version=version)
            for state in (AdapterState.VALIDATED, AdapterState.ACTIVE):
                await Records(bus).move(NAME, version, state, ANA, verb="test")
        await clients[0].aliases.split(STABLE, {"1": 100}, preload_seconds=None)
        yield Paced(clients[0]), Paced(clients[1])


async def split(client: Client) -> object:
    return await client.aliases.split(STABLE, {"1": 50, "2": 50}, preload_seconds=None)


async def promote(client: Client) -> object:
    return await client.aliases.promote(STABLE, "2", preload_seconds=None)


async def make_new(client: Client) -> object:
    return await client.aliases.split(f"{NAME}@new", {"2": 100}, preload_seconds=None)


async def set_rules(client: Client) -> object:
    return await client.rules.set(RULES)


async def leads(client: Client) -> bool:
    """Whether requests are led to version 2."""
    aliases, rules = await client.aliases.list(), await client.rules.get()
    return any(alias.weight("2") > 0 for alias in aliases) or rules.rules != ()


async def reset(client: Client, bus: Bus) -> None:
    """As it was at first."""
    await Records(bus).move(NAME, "2", AdapterState.ACTIVE, ANA, verb="test")
    for alias in await client.aliases.list():
        if alias.weight("2") > 0 and alias.alias == "stable":
            await client.aliases.split(STABLE, {"1": 100}, preload_seconds=None)
        elif alias.weight("2") > 0:
            await client.aliases.unalias(alias.spec)
    if (await client.rules.get()).rules:
        await client.rules.set("", allow_empty=True)


@pytest.mark.parametrize(
    ("lead", "ahead"),
    [(split, 0), (split, -3), (split, 3), (promote, 0), (make_new, 0), (set_rules, 0)],
)
async def test_nothing_leads_to_what_was_archived_at_that_moment__d2__d4(
    two: tuple[Paced, Paced], bus: Bus, lead: Callable[[Client], Coroutine[Any, Any, object]], ahead: int
) -> None:
    """One makes some of its requests, then the other some of its own, then both the rest, in either order.

    `ahead`: how many more of them the one that leads there has made.
    """
    first, second = two
    ends: set[tuple[bool, bool]] = set()

    async def cross(requests: tuple[int, int], order: tuple[Paced, Paced]) -> bool:
        """Whether there is more to be made of both."""
        archiving = await first.begin(first.client.adapters.archive(SECOND), requests=requests[0])
        leading = await second.begin(lead(second.client), requests=requests[1])
        done = {one: await one.end() for one in order}
        archived = (await Records(bus).get(NAME, "2")).record.state is AdapterState.ARCHIVED
        assert (archived, await leads(first.client)) == (done[first], done[second]), requests
        assert not (done[first] and done[second]), requests
        ends.add((done[first], done[second]))
        await reset(first.client, bus)
        return archiving and leading

    for order in ((first, second), (second, first)):
        made = 0
        while await cross((made, max(0, made + ahead)), order):
            made += 1
    assert {(True, False), (False, True)} <= ends


async def test_what_a_guard_gives_shares_back_to_is_not_archived__d4(two: tuple[Paced, Paced]) -> None:
    client = two[0].client
    alias = await client.aliases.split(STABLE, {"1": 0, "2": 100}, guard=GuardRule(), preload_seconds=None)
    assert alias.record.control == "1"
    with pytest.raises(VersionNamedError, match="stable"):
        await client.adapters.archive(f"{NAME}@1")
