"""The gateway beside the client that it is made of, and beside a bare application on the same server."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lorayard_cli.bench.adapters_report.document import print_document
from lorayard_cli.bench.engine_report.document import row_map
from lorayard_cli.bench.engine_report.goals import Goal, Sense
from lorayard_cli.bench.engine_report.rows import Row, exit_code
from lorayard_cli.bench.figures import Spread, percentile, spread, surroundings
from lorayard_cli.bench.gateway_sides.sides import CONNECTIONS, TURNS, Sides, warm_sides
from lorayard_cli.loops import run_service
from lorayard_cli.output import note, print_json

FAIRNESS: Final = (
    "A server, a dispatcher, two workers that do nothing, the gateway and the bare application on one "
    "machine, each a process; a prompt of 1 KiB, an API key, the answer's bytes the same on both sides. "
    "Latencies: one request at a time, through the gateway, the Python client and the bare application in "
    "turns; the difference of the first two's percentiles in each round. Requests per second: "
    f"{CONNECTIONS} connections, each side in {TURNS} short turns of a round; the bare application reads and "
    "writes JSON, on the same HTTP server (uvicorn, h11) and loop. Nothing is bound to a core: while it is "
    "measured the bare application shares the machine with who asks, and the gateway with all of the yard "
    "besides, so that on few cores it is the yard's work that bounds it. Processor time tells the two apart, "
    "and hardly moves with what else the machine does."
)


def _most(key: str, title: str, must: float | None = None) -> Goal:
    return Goal(key=key, title=title, sense=Sense.AT_MOST, must=must)


GOALS: Final = (
    _most("added_p50", "added to the Python client, p50, ms", 2.0),
    _most("added_p99", "added to the Python client, p99, ms", 10.0),
    _most("gateway_p50", "a request through the gateway, p50, ms"),
    _most("client_p50", "the same through the Python client, p50, ms"),
    _most("bare_p50", "the same to the bare application, p50, ms"),
    Goal(key="share", title="requests/s ÷ a bare starlette application", must=0.3),
    Goal(key="rate", title="requests/s through the gateway"),
    Goal(key="bare", title="requests/s of the bare application"),
    _most("gateway_ms", "the gateway's processor time for a request, ms"),
    _most("bare_ms", "the bare application's, ms"),
    _most("all_ms", "of gateway, yard and who asks together, ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int
    turns: int
    """Of a round: requests through each side, one at a time."""
    requests: int
    """Of a round, many at a time."""


FULL: Final = Sizes(rounds=5, turns=400, requests=3000)
QUICK: Final = Sizes(rounds=3, turns=150, requests=1000)


@dataclass(slots=True)
class Seen:
    """Figures by goal, one for each round."""

    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, **told: float) -> None:
        """Of one round."""
        for key, value in told.items():
            self.values.setdefault(key, []).append(value)

    def spreads(self) -> dict[str, Spread]:
        """Over the rounds."""
        return {key: spread(values) for key, values in self.values.items()}


def run(*, quick: bool, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    found = run_service(_measure(QUICK if quick else FULL)).spreads()
    rows = judge(found)
    if as_json:
        print_json(make_document(rows, quick=quick))
    else:
        print_document(rows, [])
    return exit_code(rows)


def judge(found: Mapping[str, Spread]) -> list[Row]:
    """A row for every goal."""
    return [Row(goal=goal, value=found[goal.key]) for goal in GOALS]


def make_document(rows: Sequence[Row], *, quick: bool) -> dict[str, Any]:
    """Everything, for `--json`."""
    return {
        "bench": "gateway",
        "quick": quick,
        "fairness": FAIRNESS,
        "holds": not any(row.holds is False for row in rows),
        "rows": [row_map(row) for row in rows],
        **surroundings(),
    }


async def _measure(sizes: Sizes) -> Seen:
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as folder:
        async with warm_sides(Path(folder), warm_up=sizes.requests // 4) as sides:
            for number in range(sizes.rounds):
                await _round(sides, sizes, seen)
                note(
                    f"round {number + 1}/{sizes.rounds}: added {seen.values['added_p50'][-1]:.2f} ms, "
                    f"{seen.values['rate'][-1]:,.0f}/s of {seen.values['bare'][-1]:,.0f}/s"
                )
    return seen


async def _round(sides: Sides, sizes: Sizes, seen: Seen) -> None:
    took = await sides.latencies(sizes.turns)
    p50, client_p50 = percentile(took.gateway, 0.5), percentile(took.client, 0.5)
    seen.add(
        added_p50=p50 - client_p50,
        added_p99=percentile(took.gateway, 0.99) - percentile(took.client, 0.99),
        gateway_p50=p50,
        client_p50=client_p50,
        bare_p50=percentile(took.bare, 0.5),
    )
    ours, bare = await sides.rates(sizes.requests)
    seen.add(
        share=bare.seconds / ours.seconds,
        rate=ours.requests / ours.seconds,
        bare=bare.requests / bare.seconds,
        gateway_ms=ours.own_seconds / ours.requests * 1000,
        bare_ms=bare.own_seconds / bare.requests * 1000,
        all_ms=ours.all_seconds / ours.requests * 1000,
    )
