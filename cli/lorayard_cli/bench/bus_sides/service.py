"""What a user of the queue feels, on two yards: latencies, and recoveries with their limit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from lorayard import Client
from lorayard_cli.bench.bus_sides.latencies import TENANT, cancel_ms, schedule_ms, stream_ms, submit_ms
from lorayard_cli.bench.bus_sides.recovery import recovery_seconds
from lorayard_cli.bench.figures import as_map, percentile, spread
from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.output import note
from lorayard_shared.bus.connection import Bus, connect

ROW_SECONDS: Final = 0.4
"""A job runs so long: it can be cancelled meanwhile, and ends while the bus is away."""
OUTAGE: Final = RestartPolicy(first_seconds=1.0, factor=1.0)
MUST_RECOVER_SECONDS: Final = 2.0


@dataclass(slots=True)
class Service:
    """What was seen."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    recovery: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Seconds by part."""

    @property
    def holds(self) -> bool:
        """Whether each part was back in time, each time."""
        return all(max(seconds) < MUST_RECOVER_SECONDS for seconds in self.recovery.values())


async def measure_quick_yard(bus: Bus) -> dict[str, list[float]]:
    """On a yard whose jobs take no time."""
    async with Client(settings=bus.settings, tenant=TENANT) as client:
        return {"submit": await submit_ms(client), "schedule_lateness": await schedule_ms(client, bus)}


async def measure_slow_yard() -> Service:
    """On a yard of its own whose jobs take some, and whose bus ends three times."""
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as folder:
        plan = YardPlan(data=Path(folder), engine="echo", port=0, rows=64, environment=_environment())
        async with (
            EmbeddedYard(plan, policy=OUTAGE) as yard,
            await connect(yard.settings, name="bench") as bus,
            Client(settings=yard.settings, tenant=TENANT) as client,
        ):
            seen = Service()
            seen.milliseconds["cancel_running"] = await cancel_ms(client)
            seen.milliseconds["stream_lag"] = await stream_ms(client)
            note("the bus ends and starts again after a second, three times")
            seen.recovery = await recovery_seconds(yard, client, bus)
            return seen


def _environment() -> dict[str, str]:
    return {"LORAYARD_ECHO_DELAY_SECONDS": str(ROW_SECONDS), "LORAYARD_LOOKAHEAD": "64"}


def rows(seen: Service) -> dict[str, Any]:
    """For JSON output."""
    named = {f"{name}_ms": _percentiles(values) for name, values in seen.milliseconds.items()}
    return {**named, "recovery_seconds": _recoveries(seen.recovery)}


def print_rows(document: Mapping[str, Any], table: Table) -> None:
    """Below the others."""
    for part, figure in document["recovery_seconds"].items():
        title = f"{part} back after (s, must {MUST_RECOVER_SECONDS})"
        table.add_row(title, *(f"{figure[key]:,}" for key in ("median", "low", "high")))


def latency_lines(document: Mapping[str, Any]) -> list[str]:
    """One line for each."""
    names = [name for name in document if name.endswith("_ms") and name != "light_load_ms"]
    return [
        f"{name.removesuffix('_ms')}: p50 {document[name]['p50']} ms, p99 {document[name]['p99']} ms"
        for name in names
    ]


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(percentile(values, 0.5), 2), "p99": round(percentile(values, 0.99), 2)}


def _recoveries(recovery: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The highest counts: a service that is sometimes late is late."""
    return {
        part: {
            **as_map(spread(seconds)),
            "must": MUST_RECOVER_SECONDS,
            "holds": max(seconds) < MUST_RECOVER_SECONDS,
        }
        for part, seconds in recovery.items()
    }
