"""What a refresh of `lorayard top` costs its own process: reading a large yard, and drawing what has changed.

The yard is a server, a dispatcher and a worker, with 1,000 registered adapters and 10,000 jobs that wait in a
paused lane. Before each refresh more jobs come, so that rows change. The yard is read by `top` itself, as
where no gateway or exporter runs: that is the dearest case.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from lorayard import Client, GenerateRequest
from lorayard.settings import client_settings
from lorayard_cli.bench.figures import Spread, as_map, spread, surroundings
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.loops import run_service
from lorayard_cli.output import note, out, print_json, table
from lorayard_cli.top.app import Top
from lorayard_cli.top.feed import ClientFeed
from lorayard_cli.top.picture import Tab
from lorayard_cli.top.tenants import TenantClients
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import encode
from lorayard_shared.bus.bucket_writes import put_key
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings

ADAPTERS = 1000
JOBS = 10_000
MORE_JOBS = 100
"""That come before each refresh."""
ROUNDS, QUICK_ROUNDS = 11, 3
MUST_MS = 200.0
SIZE = (80, 24)
_DIGEST = "sha256:" + "0" * 64


def run(*, quick: bool, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    document = run_service(_measure(QUICK_ROUNDS if quick else ROUNDS))
    if as_json:
        print_json(document)
    else:
        _print(document)
    return ExitCode.OK if all(row["holds"] for row in document["refresh"].values()) else ExitCode.FAILED


async def _measure(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as folder:
        plan = YardPlan(data=Path(folder) / "data", model="tiny", engine="echo", workers=1, port=0)
        async with EmbeddedYard(plan) as yard, TenantClients(client_settings(yard.settings)) as clients:
            await _register(yard.settings)
            await clients.yard.control.pause("lane", "bulk", reason="the bench's jobs shall wait")
            await _submit(clients.yard, JOBS)
            took = await _refreshes(clients, rounds)
    rows = {
        name: {"milliseconds": {**as_map(each, 1), "must": MUST_MS}, "holds": each.median < MUST_MS}
        for name, each in took.items()
    }
    return {"bench": "top", "adapters": ADAPTERS, "jobs": JOBS, "refresh": rows, **surroundings()}


async def _register(settings: YardSettings) -> None:
    async with await connect(settings, name="bench") as bus:
        for number in range(ADAPTERS):
            record = _record(number)
            await put_key(bus, "adapters", record.key, encode(record))


async def _submit(client: Client, jobs: int) -> None:
    requests = (
        GenerateRequest("wait", adapter=_name(number * 7 % ADAPTERS), lane="bulk") for number in range(jobs)
    )
    (await client.submit_many(requests)).all_handles()


async def _refreshes(clients: TenantClients, rounds: int) -> dict[str, Spread]:
    """Milliseconds of this process's processor time by tab."""
    app = Top(
        ClientFeed(clients), clients, yard="bench", interval_seconds=0.0
    )  # nothing that was read before
    app.board.looking.paused = True  # only we look
    took: dict[str, Spread] = {}
    async with app.run_test(size=SIZE) as pilot:
        board = app.board
        for number, tab in enumerate(Tab, start=1):
            await pilot.press(str(number))
            spent: list[float] = []
            for _ in range(rounds + 1):
                await _submit(clients.yard, MORE_JOBS)
                await pilot.pause()
                began = time.process_time()
                await board.looking.look(tab)
                board.show()
                await pilot.pause()
                spent.append((time.process_time() - began) * 1000)
            took[tab.value] = spread(spent[1:])  # the first fills what the others change
            note(f"{tab}: {took[tab.value].median:.0f} ms of processor time for a refresh")
    return took


def _name(number: int) -> str:
    return f"bench/tiny/task-{number}"


def _record(number: int) -> AdapterRecord:
    return AdapterRecord(
        name=_name(number),
        version="1",
        digest=_DIGEST[:-6] + f"{number:06x}",
        base_digest=_DIGEST,
        rank=8,
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=1_000_000,
    )


def _print(document: dict[str, Any]) -> None:
    figures = table(
        "refresh of", "median ms", "low", "high", "must", right=("median ms", "low", "high", "must")
    )
    for name, row in document["refresh"].items():
        spent = row["milliseconds"]
        figures.add_row(name, *(str(spent[key]) for key in ("median", "low", "high")), f"< {MUST_MS:g}")
    out().print(figures)
