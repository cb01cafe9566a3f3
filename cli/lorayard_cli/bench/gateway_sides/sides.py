"""The two sides of each comparison, on one yard of no-op workers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lorayard import Client
from lorayard_cli.bench.gateway_sides.bare_app import PATH
from lorayard_cli.bench.gateway_sides.plain_http import Connection, RefusedError, requests_per_second
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A warm yard, its gateway, and a bare application that answers the same bytes."""

    client: Client
    gateway: str
    key: str
    bare: str

    async def latencies(self, pairs: int) -> tuple[list[float], list[float]]:
        """Of one request at a time through the gateway and through the client, in turns; milliseconds."""
        connection = await Connection.open(self.gateway, PATH, BODY, self.key)
        ours: list[float] = []
        direct: list[float] = []
        try:
            for _ in range(pairs):
                started = time.perf_counter()
                await connection.ask()
                ours.append((time.perf_counter() - started) * 1000)
                started = time.perf_counter()
                await self.client.generate(
                    [{"role": "user", "content": PROMPT}], adapter="base", max_new_tokens=64
                )
                direct.append((time.perf_counter() - started) * 1000)
        finally:
            await connection.close()
        return ours, direct

    async def rate(self, url: str, requests: int) -> float:
        """Requests per second."""
        return await requests_per_second(
            url, PATH, BODY, self.key, connections=CONNECTIONS, requests=requests
        )


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
        async with _bare(folder / "answer.json") as bare:
            sides = Sides(client=client, gateway=yard.gateway_url, key=key, bare=bare)
            for url in (sides.gateway, sides.bare):
                await sides.rate(url, warm_up)
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
async def _bare(answer: Path) -> AsyncGenerator[str]:
    port = free_port(0)
    module = "lorayard_cli.bench.gateway_sides.bare_app"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, str(port), str(answer))
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await is_listening(port):  # noqa: ASYNC110  # another process is polled
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
