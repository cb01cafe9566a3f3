"""The two sides of each comparison, on one yard of no-op workers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lorayard import Client
from lorayard_cli.bench.gateway_sides.bare_app import PATH
from lorayard_cli.bench.gateway_sides.plain_http import Connection, RefusedError, seconds_for
from lorayard_cli.bench.processor_time import processor_seconds
from lorayard_cli.embedded.bus_server import free_port
from lorayard_cli.embedded.liveness import is_listening
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard

PROMPT: Final = "x" * 1024
BODY: Final[dict[str, Any]] = {
    "model": "base",
    "messages": [{"role": "user", "content": PROMPT}],
    "max_tokens": 64,
    "temperature": 0,
}
ROWS: Final = 64
CONNECTIONS: Final = 32
START_SECONDS: Final = 30.0
TURNS: Final = 10
"""Of each side, in one reading of the rates."""


@dataclass(slots=True)
class Latencies:
    """In milliseconds."""

    gateway: list[float] = field(default_factory=list[float])
    client: list[float] = field(default_factory=list[float])
    bare: list[float] = field(default_factory=list[float])


@dataclass(slots=True)
class Rate:
    """What many requests took."""

    requests: int = 0
    seconds: float = 0.0
    own_seconds: float = 0.0
    """Processor time of what answered them."""
    all_seconds: float = 0.0
    """Of all processes, the one that asks among them."""


async def _milliseconds(asking: Awaitable[object]) -> float:
    started = time.perf_counter()
    await asking
    return (time.perf_counter() - started) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A warm yard, its gateway, and a bare application that answers the same bytes."""

    client: Client
    gateway: str
    key: str
    bare: str
    pids: Mapping[str, int | None]
    """Of every process that works for a request, `gateway` and `bare` among them."""

    async def latencies(self, turns: int) -> Latencies:
        """Of one request at a time through the gateway, the client and the bare application, in turns."""
        gateway = await Connection.open(self.gateway, PATH, BODY, self.key)
        bare = await Connection.open(self.bare, PATH, BODY, self.key)
        seen = Latencies()
        try:
            for _ in range(turns):
                seen.gateway.append(await _milliseconds(gateway.ask()))
                seen.client.append(await _milliseconds(self._generate()))
                seen.bare.append(await _milliseconds(bare.ask()))
        finally:
            await gateway.close()
            await bare.close()
        return seen

    async def _generate(self) -> None:
        messages = [{"role": "user", "content": PROMPT}]
        await self.client.generate(messages, adapter="base", max_new_tokens=64)

    async def rates(self, requests: int) -> tuple[Rate, Rate]:
        """Of the gateway and of the bare application.

        In short turns: what else the machine does changes by the second, and meets both.
        """
        gateway, bare = Rate(), Rate()
        for _ in range(TURNS):
            await self._turn(gateway, "gateway", self.gateway, requests // TURNS)
            await self._turn(bare, "bare", self.bare, requests // TURNS)
        return gateway, bare

    async def _turn(self, rate: Rate, name: str, url: str, requests: int) -> None:
        before = processor_seconds(self.pids)
        rate.seconds += await seconds_for(
            url, PATH, BODY, self.key, connections=CONNECTIONS, requests=requests
        )
        rate.requests += requests
        after = processor_seconds(self.pids)
        rate.own_seconds += after.get(name, 0.0) - before.get(name, 0.0)
        rate.all_seconds += sum(after.values()) - sum(before.values())


@asynccontextmanager
async def warm_sides(folder: Path, *, warm_up: int) -> AsyncGenerator[Sides]:
    """Both sides, after their first requests."""
    plan = YardPlan(
        data=folder / "data",
        engine="echo",
        model="tiny",
        adapters=folder,
        port=0,
        gateway=0,
        gateway_keys=True,
        rows=ROWS,
        environment={"LORAYARD_ECHO_REPLY": "nothing", "LORAYARD_LOOKAHEAD": str(ROWS)},
    )
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings, tenant="bench") as client:
        assert yard.gateway_url is not None, "the plan has one"
        key = (await client.keys.add("bench", reason="bench")).key
        answer = await _first_answer(yard.gateway_url, key)
        (folder / "answer.json").write_bytes(answer)
        async with _bare(folder / "answer.json") as (bare, pid):
            pids = {**yard.pids, "bare": pid}
            sides = Sides(client=client, gateway=yard.gateway_url, key=key, bare=bare, pids=pids)
            await sides.rates(warm_up)
            yield sides


async def _first_answer(url: str, key: str) -> bytes:
    """Once the gateway has heard of the key."""
    until = time.monotonic() + START_SECONDS
    while True:
        connection = await Connection.open(url, PATH, BODY, key)
        try:
            return await connection.ask()
        except RefusedError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
        finally:
            await connection.close()


@asynccontextmanager
async def _bare(answer: Path) -> AsyncGenerator[tuple[str, int]]:
    port = free_port(0)
    module = "lorayard_cli.bench.gateway_sides.bare_app"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, str(port), str(answer))
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await is_listening(port):  # noqa: ASYNC110  # another process is polled
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        await process.wait()
