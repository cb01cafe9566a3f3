"""What it costs to see a yard, and how true and soon it is.

A refresh is of 10,000 waiting jobs over 1,000 adapters and 64 workers, each of which has written a new advert
since the one before: processor time of who reads the bus and writes the answer, and of who reads that.
"""

from __future__ import annotations

import time
from typing import Any

from lorayard import Client
from lorayard.view.fitting import fitted
from lorayard.view.reader import SnapshotReader
from lorayard_cli.bench.bus import warm_yard
from lorayard_cli.bench.figures import as_map, spread, surroundings
from lorayard_cli.bench.view_sides.large_yard import ADAPTERS, JOBS, WORKERS, beat, fill, large_settings
from lorayard_cli.bench.view_sides.truth import seconds_to_lost, shown_beside_stream
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.loops import run_service
from lorayard_cli.output import note, out, print_json, table
from lorayard_schemas.codec import decode
from lorayard_schemas.snapshot import YardSnapshot
from lorayard_shared.bus.connection import Bus, connect

MUST_REFRESH_MS = 200.0
MUST_LOST_SECONDS = 6.0
MUST_RIGHT = 1.0
REFRESHES, QUICK_REFRESHES = 20, 5
LOOKS, QUICK_LOOKS = 20, 5
KILLS, QUICK_KILLS = 5, 1


def run(*, quick: bool, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    document = run_service(_measure(quick=quick))
    if as_json:
        print_json(document)
    else:
        _print(document)
    parts = ("refresh", "depth", "lost")
    return ExitCode.OK if all(document[part]["holds"] for part in parts) else ExitCode.FAILED


async def _measure(*, quick: bool) -> dict[str, Any]:
    looks, kills = (QUICK_LOOKS, QUICK_KILLS) if quick else (LOOKS, KILLS)
    async with warm_yard() as yard:
        settings = yard.settings
        async with await connect(large_settings(settings), name="bench-view") as bus:
            refresh = await _refresh(bus, QUICK_REFRESHES if quick else REFRESHES)
        async with await connect(settings, name="bench-depth") as bus, Client(settings=settings) as client:
            right, at_rest = await shown_beside_stream(client, bus, looks)
            note(f"depths under load: {right} of {looks} as the stream had them")
            took = [await seconds_to_lost(client, settings) for _ in range(kills)]
        note(f"from kill -9 to lost: {max(took):.1f} s at most")
    lost = spread(took)
    return {
        "bench": "view",
        "jobs": JOBS,
        "adapters": ADAPTERS,
        "workers": WORKERS,
        "refresh": refresh,
        "depth": {
            "looks": looks,
            "within_a_second": {"value": right / looks, "must": MUST_RIGHT},
            "exact_at_rest": at_rest,
            "holds": right == looks and at_rest,
        },
        "lost": {
            "seconds": {**as_map(lost, 2), "must": MUST_LOST_SECONDS},
            "holds": lost.high <= MUST_LOST_SECONDS,
        },
        **surroundings(),
    }


async def _refresh(bus: Bus, rounds: int) -> dict[str, Any]:
    await fill(bus)
    reader = SnapshotReader(bus)
    reading: list[float] = []
    showing: list[float] = []
    size = 0
    for number in range(rounds + 1):
        await beat(bus, number + 1)
        began = time.process_time()
        body = fitted(await reader.read(), bus.nc.max_payload)
        made = time.process_time()
        shown = decode(YardSnapshot, body)
        if number:  # the first reads all of it
            reading.append(1000 * (made - began))
            showing.append(1000 * (time.process_time() - made))
        size = len(body)
        assert shown.overview.unfinished == JOBS, "what was submitted is shown"
        assert len(shown.adapters) == ADAPTERS, "a message has room for all"
    whole = spread([each + other for each, other in zip(reading, showing, strict=True)])
    note(f"refresh: {whole.median:.0f} ms of processor time, {size:,} bytes")
    return {
        "processor_ms": {**as_map(whole, 1), "must": MUST_REFRESH_MS},
        "reading_ms": as_map(spread(reading), 1),
        "showing_ms": as_map(spread(showing), 1),
        "bytes": size,
        "holds": whole.median < MUST_REFRESH_MS,
    }


def _print(document: dict[str, Any]) -> None:
    figures = table("figure", "median", "low", "high", "must", right=("median", "low", "high", "must"))
    refresh, depth, lost = document["refresh"], document["depth"], document["lost"]
    for name, key, must in (
        ("refresh, ms of processor time", "processor_ms", f"< {MUST_REFRESH_MS:g}"),
        ("of that reading the bus", "reading_ms", ""),
        ("of that reading the answer", "showing_ms", ""),
    ):
        row = refresh[key]
        figures.add_row(name, *(str(row[each]) for each in ("median", "low", "high")), must)
    figures.add_row("bytes of an answer", f"{refresh['bytes']:,}", "", "", "")
    within = depth["within_a_second"]["value"]
    figures.add_row("depths shown under load that the stream had", f"{within:.2f}", "", "", f"{MUST_RIGHT:g}")
    figures.add_row("exact at rest", "yes" if depth["exact_at_rest"] else "no", "", "", "yes")
    took = lost["seconds"]
    figures.add_row(
        "s from kill -9 of a worker to lost",
        *(str(took[each]) for each in ("median", "low", "high")),
        f"<= {MUST_LOST_SECONDS:g}",
    )
    out().print(figures)
