"""What it costs to see a yard, and how true and soon it is.

A refresh is of 10,000 waiting jobs over 1,000 adapters and 64 workers, each of which has written a new advert
since the one before, and 100 jobs have come: processor time of who reads the bus; then, on top of that, of
who makes a page's next event of it, and of who writes the answer to `client.snapshot()` and reads that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lorayard import Client
from lorayard.view.fitting import fitted
from lorayard.view.reader import SnapshotReader
from lorayard_cli.bench.bus import warm_yard
from lorayard_cli.bench.figures import as_map, spread, surroundings
from lorayard_cli.bench.view_sides.deafness import seconds_to_deaf, seconds_to_heard
from lorayard_cli.bench.view_sides.large_yard import (
    ADAPTERS,
    JOBS,
    WORKERS,
    beat,
    fill,
    large_settings,
    submit,
)
from lorayard_cli.bench.view_sides.page_watch import page_watched
from lorayard_cli.bench.view_sides.truth import Truth, seconds_to_lost, shown_beside_stream
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.loops import run_service
from lorayard_cli.output import note, out, print_json, table
from lorayard_gateway.page.channel import Channel
from lorayard_gateway.page.sight import sight_of
from lorayard_schemas.codec import decode
from lorayard_schemas.snapshot import YardSnapshot
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.hearing import FOUND_SECONDS

MUST_REFRESH_MS = 200.0
MUST_LOST_SECONDS = 6.0
MORE_JOBS = 100
"""That come before each refresh."""
REFRESHES, QUICK_REFRESHES = 20, 5
LOOKS, QUICK_LOOKS = 20, 5
KILLS, QUICK_KILLS = 5, 1


@dataclass(slots=True)
class Refreshes:
    """Milliseconds of processor time, refresh by refresh."""

    reading: list[float] = field(default_factory=list[float])
    """The bus."""
    paging: list[float] = field(default_factory=list[float])
    """Making the page's next event of it."""
    answering: list[float] = field(default_factory=list[float])
    """Writing the answer to a client, and reading it there."""
    page_bytes: int = 0
    answer_bytes: int = 0

    @property
    def page(self) -> list[float]:
        """All that a page costs its gateway."""
        return [sum(each) for each in zip(self.reading, self.paging, strict=True)]

    @property
    def client(self) -> list[float]:
        """All that a look costs gateway and client together."""
        return [sum(each) for each in zip(self.reading, self.answering, strict=True)]


def run(*, quick: bool, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    document = run_service(_measure(quick=quick))
    if as_json:
        print_json(document)
    else:
        _print(document)
    parts = ("refresh", "depth", "lost", "deaf", "blind")
    return ExitCode.OK if all(document[part]["holds"] for part in parts) else ExitCode.FAILED


async def _measure(*, quick: bool) -> dict[str, Any]:
    looks, kills = (QUICK_LOOKS, QUICK_KILLS) if quick else (LOOKS, KILLS)
    async with warm_yard(page=True) as yard:
        settings = yard.settings
        async with await connect(large_settings(settings), name="bench-view") as bus:
            refreshes = await _refresh(bus, QUICK_REFRESHES if quick else REFRESHES)
            heard = [await seconds_to_heard(bus) for _ in range(kills)]
        async with (
            await connect(settings, name="bench-depth") as bus,
            Client(settings=settings) as client,
            page_watched(yard.gateway_url) as page,
        ):
            truth = await shown_beside_stream(client, bus, page, looks)
            note(
                f"depths under load: {truth.right} of {truth.looks} looks as the stream had them, and "
                f"{truth.told_right} of {truth.told} on the page"
            )
            took = [await seconds_to_lost(page, settings) for _ in range(kills)]
            dispatcher = (await client.snapshot()).dispatchers[0].dispatcher
            deaf = [await seconds_to_deaf(bus, dispatcher) for _ in range(kills)]
        note(f"from kill -9 to lost on the page: {max(took):.1f} s at most")
        note(f"deaf to a consumer: told after {max(deaf):.1f} s at most; a blind watch: {max(heard):.1f} s")
    return {
        "bench": "view",
        "jobs": JOBS,
        "adapters": ADAPTERS,
        "workers": WORKERS,
        "refresh": _refresh_document(refreshes),
        "depth": {**asdict(truth), "holds": truth.holds},
        "lost": _within(took, MUST_LOST_SECONDS),
        "deaf": _within(deaf, FOUND_SECONDS),
        "blind": _within(heard, FOUND_SECONDS),
        **surroundings(),
    }


def _within(took: Sequence[float], must: float) -> dict[str, Any]:
    """Seconds, of which the longest counts."""
    return {"seconds": {**as_map(spread(took), 2), "must": must}, "holds": max(took) <= must}


async def _refresh(bus: Bus, rounds: int) -> Refreshes:
    await fill(bus)
    reader, channel, seen = SnapshotReader(bus), Channel(), Refreshes()
    for number in range(rounds + 1):
        await beat(bus, number + 1)
        await submit(bus, MORE_JOBS)
        began = time.process_time()
        read = await reader.read()
        at_read = time.process_time()
        channel.show(sight_of(read, channel.sight))
        _, events = channel.since(number or None)  # each round is one event
        at_paged = time.process_time()
        body = fitted(read, bus.nc.max_payload)
        shown = decode(YardSnapshot, body)
        if number:  # the first reads all of it
            seen.reading.append(1000 * (at_read - began))
            seen.paging.append(1000 * (at_paged - at_read))
            seen.answering.append(1000 * (time.process_time() - at_paged))
        seen.page_bytes, seen.answer_bytes = sum(map(len, events)), len(body)
        assert shown.overview.unfinished == JOBS + MORE_JOBS * (number + 1), "what was submitted is shown"
        assert len(shown.adapters) == ADAPTERS, "a message has room for all"
        assert events, "the page is told of it"
    note(f"refresh: {spread(seen.page).median:.0f} ms of processor time for a page")
    return seen


def _refresh_document(seen: Refreshes) -> dict[str, Any]:
    page, client = spread(seen.page), spread(seen.client)
    return {
        "page_ms": {**as_map(page, 1), "must": MUST_REFRESH_MS},
        "client_ms": {**as_map(client, 1), "must": MUST_REFRESH_MS},
        "reading_ms": as_map(spread(seen.reading), 1),
        "page_bytes": seen.page_bytes,
        "answer_bytes": seen.answer_bytes,
        "holds": max(page.median, client.median) < MUST_REFRESH_MS,
    }


def _print(document: dict[str, Any]) -> None:
    figures = table("figure", "median", "low", "high", "must", right=("median", "low", "high", "must"))
    refresh = document["refresh"]
    lost, deaf, blind = (document[part]["seconds"] for part in ("lost", "deaf", "blind"))
    limit = f"< {MUST_REFRESH_MS:g}"
    for name, row, must in (
        ("a refresh of the page, ms of processor time", refresh["page_ms"], limit),
        ("a refresh of client.snapshot(), ms", refresh["client_ms"], limit),
        ("of both, reading the bus", refresh["reading_ms"], ""),
        ("s from kill -9 of a worker to lost on the page", lost, f"<= {MUST_LOST_SECONDS:g}"),
        ("s from a deleted consumer to its dispatcher saying so, or its mend", deaf, f"<= {FOUND_SECONDS:g}"),
        ("s from a change that a watch is blind to, to its mend", blind, f"<= {FOUND_SECONDS:g}"),
    ):
        figures.add_row(name, *(str(row[each]) for each in ("median", "low", "high")), must)
    figures.add_row("bytes of a page's next event", f"{refresh['page_bytes']:,}", "", "", "")
    figures.add_row("bytes of an answer", f"{refresh['answer_bytes']:,}", "", "", "")
    truth = Truth(**{name: value for name, value in document["depth"].items() if name != "holds"})
    for name, right, of in (
        ("looks under load with a depth that the stream had", truth.right, truth.looks),
        ("the same on the page", truth.told_right, truth.told),
    ):
        figures.add_row(name, f"{right} of {of}", "", "", "all")
    figures.add_row("exact at rest", "yes" if truth.at_rest else "no", "", "", "yes")
    out().print(figures)
