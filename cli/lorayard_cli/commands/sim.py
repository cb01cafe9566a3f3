"""`lorayard sim`: what-if for recorded traffic."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import TEXT, Output
from lorayard_cli.output import note, out, plain, print_json, table
from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.errors import BadSettingError
from lorayard_cli.simulation.result import SimResult
from lorayard_cli.simulation.routers import ROUTERS
from lorayard_cli.simulation.trace import draw_adapters, read_trace
from lorayard_cli.simulation.what_if import Question, answer

USUAL_ROUTERS = "ours,pull_aff,bounded_loads,gateway,least_request,round_robin"

_MOST = {"workers": 1000, "rows": 4096, "slots": 100_000, "host": 1_000_000, "adapters": 1_000_000}
"""Past these a run takes days, or memory that nobody has."""

_LONGEST_MS = 3_600_000.0


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelledYard:
    """The yard, and how the traffic is played."""

    workers: int = 8
    """Equal workers."""
    rows: int = 16
    """Jobs that a worker decodes at once."""
    slots: int = 8
    """Adapters in device memory of a worker."""
    host: int = 32
    """Adapters in host memory of a worker, those in its slots included."""
    adapters: int = 64
    """How many to draw from, where the trace names none."""
    zipf: float = 1.0
    """Their popularity: the n-th has a share of 1/n^zipf."""
    speed: float = 1.0
    """Let jobs come so many times as fast as they did."""
    seed: int = 0
    """Of everything drawn."""
    step_ms: float = 25.0
    """One token of every row of a batch takes this..."""
    row_ms: float = 0.5
    """... and this for each row of it..."""
    adapter_ms: float = 1.0
    """... and this for each distinct adapter in it."""
    host_ms: float = 30.0
    """To bring an adapter from host memory into a slot."""
    disk_ms: float = 270.0
    """To bring it from disk into host memory."""
    stall: float = 1.0
    """Part of decode speed that is lost while an adapter is loaded: 0 where the copy overlaps."""
    staging: bool = True
    """Whether workers that decode read from disk beside it, as ours do, or stop for the whole load."""
    lookahead: int = 4
    """Jobs that a worker takes beyond its rows."""

    def check(self) -> None:
        """Raises CommandError for numbers that no yard has."""
        for name, most in _MOST.items():
            _check(name, getattr(self, name), most)
        _check_positive(zipf=self.zipf, speed=self.speed, step_ms=self.step_ms)
        for name in ("row_ms", "adapter_ms", "host_ms", "disk_ms"):
            _check_within(name, getattr(self, name), _LONGEST_MS)
        _check_within("stall", self.stall, 1.0)
        _check_within("lookahead", self.lookahead, _MOST["rows"])

    def cluster(self, adapters: int) -> Cluster:
        """For traffic with so many adapters."""
        return Cluster(
            workers=self.workers,
            rows=self.rows,
            slots=self.slots,
            host=self.host,
            adapters=max(1, adapters),
            lookahead=self.lookahead,
            load_seconds_host=self.host_ms / 1000,
            load_seconds_disk=self.disk_ms / 1000,
            stall=self.stall,
            staging=self.staging,
            step_milliseconds=self.step_ms,
            row_milliseconds=self.row_ms,
            adapter_milliseconds=self.adapter_ms,
        )


USUAL = ModelledYard()


def sim(
    *,
    trace: Path,
    yard: ModelledYard = USUAL,
    router: str = USUAL_ROUTERS,
    output: Output = TEXT,
) -> int:
    """Say how recorded traffic would fare on a yard of so many workers, under several routers.

    A model, not a measurement: workers keep time only, and a router is its rule on that model. A trace is
    Azure's public LLM inference trace (CSV), or one JSON object per line with at, adapter, tenant, priority,
    prompt_tokens and completion_tokens. Ends with 5 when the file is not such a trace.

    Parameters
    ----------
    trace
        The recorded traffic.
    router
        Which to compare, separated by commas; `all` is all of them.
    """
    routers = _routers(router)
    yard.check()
    known = read = read_trace(trace)
    if not read.names_adapters:
        known = draw_adapters(read, adapters=yard.adapters, exponent=yard.zipf, seed=yard.seed)
    cluster = _cluster(yard, len(known.adapters))
    question = Question(trace=known, cluster=cluster, routers=routers, speed=yard.speed, seed=yard.seed)
    results = answer(question, lambda done: note(f"{done}: done"))
    document = _document(trace, question, results, drawn=not read.names_adapters)
    if output.json:
        print_json(document)
    else:
        _print(document, results)
    return ExitCode.OK


def _routers(text: str) -> tuple[str, ...]:
    if text == "all":
        return tuple(ROUTERS)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in ROUTERS]
    if unknown:
        message = f"no router is called {unknown[0]!r}; there are {', '.join(ROUTERS)}"
        raise CommandError(ExitCode.USAGE, "usage", message, field="router")
    return names


def _check(name: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        message = f"--{name} must be from 1 to {most}, got {count}"
        raise CommandError(ExitCode.USAGE, "usage", message, field=name)


def _cluster(yard: ModelledYard, adapters: int) -> Cluster:
    try:
        return yard.cluster(adapters)
    except BadSettingError as error:
        raise CommandError(ExitCode.USAGE, "usage", str(error), field=error.setting) from error


def _check_within(name: str, number: float, most: float) -> None:
    if not 0.0 <= number <= most:
        option = name.replace("_", "-")
        message = f"--{option} must be from 0 to {most:g}, got {number}"
        raise CommandError(ExitCode.USAGE, "usage", message, field=name)


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (number > 0 and math.isfinite(number)):
            option = name.replace("_", "-")
            message = f"--{option} must be a number above 0, got {number}"
            raise CommandError(ExitCode.USAGE, "usage", message, field=name)


def _document(path: Path, question: Question, results: list[SimResult], *, drawn: bool) -> dict[str, Any]:
    return {
        "trace": str(path),
        "jobs": len(question.trace.jobs),
        "seconds": round(question.trace.seconds / question.speed, 3),
        "adapters": len(question.trace.adapters),
        "adapters_drawn": drawn,
        "speed": question.speed,
        "seed": question.seed,
        "cluster": asdict(question.cluster),
        "routers": [result.as_dict() for result in results],
    }


def _print(document: dict[str, Any], results: list[SimResult]) -> None:
    named = "drawn" if document["adapters_drawn"] else "named"
    out().print(
        plain(
            f"{document['jobs']:,} jobs in {document['seconds']:,.0f} s, {document['adapters']:,} adapters "
            f"({named}), {document['cluster']['workers']} workers; a model, not a measurement"
        )
    )
    numbers = ("jobs/s", "loads/1,000", "wait p50", "p95", "p99", "worst", "unfinished")
    shown = table("router", *numbers, right=numbers)
    for result in results:
        waits = result.waits
        seconds = (f"{wait:.2f} s" for wait in (waits.p50, waits.p95, waits.p99, waits.longest))
        rates = (f"{result.jobs_per_second:.2f}", f"{result.loads_per_1000:.0f}")
        shown.add_row(result.router, *rates, *seconds, f"{result.unfinished:,}")
    out().print(shown)
