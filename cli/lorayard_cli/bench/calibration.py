"""The modelled yard beside a live one: the same three traces, jobs per second and adapter loads."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorayard import Client
from lorayard_cli.bench.calibration_sides.law import StepLaw, at_the_pace_of, fit_steps
from lorayard_cli.bench.calibration_sides.live import (
    GUESS,
    HOST_BYTES,
    live_yard,
    make_adapters,
    play,
)
from lorayard_cli.bench.calibration_sides.model import (
    JOBS_WITHIN,
    LOADS_WITHIN,
    Compared,
    compare,
    fitted,
    recorded,
)
from lorayard_cli.bench.calibration_sides.scenes import SCENES, Due, mixed_trace, trace_of
from lorayard_cli.bench.calibration_sides.seen import Seen
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.loops import run_service
from lorayard_cli.output import note, out, plain, print_json, table
from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.trace import Trace, read_trace

FAIRNESS = (
    "A step's law is fitted to when rows began and ended in a run of its own, its pace to the rows of the "
    "trace, since machines are shared; load times are those of the adverts. Jobs per second, loads and waits "
    "are the model's own."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Everything that was found."""

    traces: Sequence[Compared]

    @property
    def holds(self) -> bool:
        """Whether every trace is within its bounds."""
        return all(trace.holds for trace in self.traces)


def run(*, as_json: bool, keep: Path | None, seed: int) -> int:
    """Measure, print, and fail when the model is further off than it may be."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lorayard-calibration-") as folder:
        traces = keep or Path(folder) / "traces"
        traces.mkdir(parents=True, exist_ok=True)
        found = run_service(_Live(Path(folder), seed).calibrate(traces))
    if as_json:
        print_json(_document(found, round(time.monotonic() - started)))
    else:
        _print(found)
    return ExitCode.OK if found.holds else ExitCode.FAILED


class _Live:
    """Fresh yards over one folder of adapters."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._yards = 0
        self._names = make_adapters(folder / "adapters")

    async def calibrate(self, traces: Path) -> Calibrated:
        """Find out what the yard can do, then play the traces that fill it so far."""
        seen = await self._play("mixed", mixed_trace(GUESS, self._seed))
        law = fit_steps(seen.jobs)
        offered = fitted(GUESS, law, seen, HOST_BYTES)
        found: list[Compared] = []
        for scene in SCENES:
            seen = await self._play(scene.name, trace_of(scene, offered, self._seed))
            paced = at_the_pace_of(law, seen.jobs)
            cluster = fitted(GUESS, paced, seen, HOST_BYTES)
            found.append(compare(scene.name, seen, kept_trace(traces, scene.name, seen), cluster, paced))
        return Calibrated(traces=found)

    async def _play(self, name: str, due: Sequence[Due]) -> Seen:
        async with self._fresh() as client:
            seen = await play(client, due, self._names)
        note(f"{name}: {len(seen.jobs)} jobs, {seen.jobs_per_second:.1f}/s")
        return seen

    @asynccontextmanager
    async def _fresh(self) -> AsyncGenerator[Client]:
        self._yards += 1
        async with live_yard(self._folder / f"yard-{self._yards}", self._folder / "adapters") as client:
            yield client


def kept_trace(folder: Path, name: str, seen: Seen) -> Trace:
    """Written as a yard would record it, and read again as `lorayard sim` would."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{job.model_dump_json()}\n" for job in recorded(seen)), encoding="utf-8")
    return read_trace(path)


def _document(found: Calibrated, seconds: int) -> dict[str, Any]:
    return {
        "bench": "calibration",
        "seconds": seconds,
        "fairness": FAIRNESS,
        "jobs_within": JOBS_WITHIN,
        "loads_within": LOADS_WITHIN,
        "holds": found.holds,
        "traces": [_trace_map(trace) for trace in found.traces],
        **surroundings(),
    }


def _trace_map(trace: Compared) -> dict[str, Any]:
    told = {
        key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(trace).items()
    }
    ratios = {"jobs_ratio": round(trace.jobs_ratio, 3), "loads_ratio": round(trace.loads_ratio, 3)}
    return {**told, **ratios, "holds": trace.holds}


def _print(found: Calibrated) -> None:
    numbers = (
        "jobs",
        "jobs/s live",
        "model",
        "ratio",
        "loads live",
        "model ",
        "ratio ",
        "p95 live",
        "model  ",
    )
    shown = table("trace", *numbers, "holds", right=numbers)
    for trace in found.traces:
        rates = (trace.live_jobs_per_second, trace.model_jobs_per_second, trace.jobs_ratio)
        loads = (trace.live_loads_per_1000, trace.model_loads_per_1000)
        waits = (trace.live_wait_p95, trace.model_wait_p95)
        shown.add_row(
            trace.name,
            f"{trace.jobs}",
            *(f"{value:.2f}" for value in rates),
            *(f"{value:.0f}" for value in loads),
            f"{trace.loads_ratio:.2f}",
            *(f"{value:.2f} s" for value in waits),
            "yes" if trace.holds else "NO",
        )
    out().print(shown)
    for trace in found.traces:
        out().print(plain(f"{trace.name}: {_law_text(trace.law, trace.cluster)}"))


def _law_text(law: StepLaw, cluster: Cluster) -> str:
    host, disk = 1000 * cluster.load_seconds_host, 1000 * cluster.load_seconds_disk
    return (
        f"a step takes {law.step:.2f} ms, {law.row:.2f} for each row and {law.adapter:.2f} for each adapter "
        f"(fitted to {law.jobs} jobs, off by {100 * law.error:.0f} %); loads take {host:.1f} ms from host "
        f"memory, where {cluster.host} adapters fit, and {disk:.1f} ms from disk"
    )
