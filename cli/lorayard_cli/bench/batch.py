"""Batches: what the runner costs, what its order saves, and that nothing is lost or answered twice."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from lorayard_cli.bench.batch_sides.kept import Kept
from lorayard_cli.bench.batch_sides.kills import KillReport, kill_at_random
from lorayard_cli.bench.batch_sides.lines import write_lines
from lorayard_cli.bench.batch_sides.live import (
    ADAPTERS,
    SwapsSeen,
    ThroughputSeen,
    measure_swaps,
    measure_throughput,
)
from lorayard_cli.bench.batch_sides.memory import MemorySeen, measure_memory
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.bench.summarizing import SummarizingRun, measure_summarizing
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import provide
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.output import note, out, print_json, table

MUST_MEMORY_MB = 300.0
MUST_SWAP_SHARE = 0.1
MUST_RATIO = 0.9
MUST_SUMMARY_RATIO = 1.15
SEED = 7
KILL_PACE = {"LORAYARD_ECHO_DELAY_SECONDS": "0.02", "LORAYARD_ACK_WAIT_SECONDS": "3"}
LINES_A_KILL = 130
"""Of which a hundred at most are answered before it comes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done."""

    memory_lines: int
    swap_lines: int
    kills: int
    documents: int
    rounds: int
    pages: int


FULL = Sizes(memory_lines=1_000_000, swap_lines=12_000, kills=100, documents=500, rounds=3, pages=300)
QUICK = Sizes(memory_lines=20_000, swap_lines=12_000, kills=6, documents=200, rounds=1, pages=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure and what it must be."""

    name: str
    value: float
    must: str
    holds: bool


def run(*, quick: bool, as_json: bool, parts: Path | None = None) -> int:
    """Measure, print, and fail when a must is missed; what stands in the file `parts` is done."""
    sizes = QUICK if quick else FULL
    kept = Kept(parts, sizes="quick" if quick else "full")
    # What is timed comes first, so that a machine needs to be quiet for these minutes only.
    text = kept.part(
        "summarize",
        SummarizingRun,
        lambda: _in_folder("summarize", lambda _: _await(measure_summarizing(pages=sizes.pages))),
    )
    speed = kept.part(
        "throughput",
        ThroughputSeen,
        lambda: _in_folder(
            "throughput",
            lambda folder: _await(measure_throughput(folder, documents=sizes.documents, rounds=sizes.rounds)),
        ),
    )
    swaps = kept.part(
        "swaps",
        SwapsSeen,
        lambda: _in_folder("swaps", lambda folder: _await(measure_swaps(folder, lines=sizes.swap_lines))),
    )
    memory = kept.part(
        "memory",
        MemorySeen,
        lambda: _in_folder("memory", lambda folder: _memory(folder, sizes.memory_lines)),
    )
    kills = kept.part(
        "kills", KillReport, lambda: _in_folder("kills", lambda folder: _await(_kills(folder, sizes.kills)))
    )
    rows = [*judge(memory, swaps, kills, speed), judge_text(text, sizes.pages)]
    if as_json:
        print_json(as_document(rows, (memory, swaps, kills, speed, text), quick=quick))
    else:
        _print(rows)
    kept.end()
    return ExitCode.OK if all(row.holds for row in rows) else ExitCode.FAILED


def judge(memory: MemorySeen, swaps: SwapsSeen, kills: KillReport, speed: ThroughputSeen) -> list[Row]:
    """The rows with their thresholds."""
    killed = sum(kills.killed.values())
    wrong = kills.missing + kills.twice + kills.failed + kills.published_twice
    return [
        Row(
            name=f"runner's memory over {memory.lines:,} lines, MB",
            value=memory.peak_mb,
            must=f"< {MUST_MEMORY_MB:g}",
            holds=memory.peak_mb < MUST_MEMORY_MB,
        ),
        Row(
            name=f"swaps / in file order, {len(ADAPTERS)} adapters shuffled, 4 slots",
            value=swaps.share,
            must=f"<= {MUST_SWAP_SHARE:g}",
            holds=swaps.share <= MUST_SWAP_SHARE,
        ),
        Row(
            name=f"lines lost, twice, failed or asked twice, {killed} kills",
            value=wrong,
            must="= 0",
            holds=kills.holds,
        ),
        Row(
            name=f"tokens/s of a batch of {speed.documents} / all of it queued at once",
            value=speed.ratio,
            must=f">= {MUST_RATIO:g}",
            holds=speed.ratio >= MUST_RATIO,
        ),
    ]


def judge_text(run: SummarizingRun, pages: int) -> Row:
    """A long text through `summarize`: what reading, the bus and combining add to its chunks."""
    return Row(
        name=f"summarize, {pages} pages / its chunks on the engine alone",
        value=run.ratio,
        must=f"<= {MUST_SUMMARY_RATIO:g}",
        holds=run.ratio <= MUST_SUMMARY_RATIO,
    )


def _in_folder(name: str, measure: Callable[[Path], T]) -> T:
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as folder:
        found = measure(Path(folder))
    note(f"{name}: {found}")
    return found


def _await(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _memory(folder: Path, lines: int) -> MemorySeen:
    draw = random.Random(SEED)
    write_lines(folder / "in.jsonl", (draw.choice(ADAPTERS) for _ in range(lines)))
    return measure_memory(folder)


async def _kills(folder: Path, kills: int) -> KillReport:
    wanted = YardPlan(
        data=folder / "data", engine="echo", model="tiny", port=0, workers=2, rows=4, environment=KILL_PACE
    )
    plan = provide(wanted, progress=note)
    return await kill_at_random(plan, folder, lines=kills * LINES_A_KILL, kills=kills, seed=SEED)


def as_document(rows: list[Row], seen: tuple[Any, ...], *, quick: bool) -> dict[str, Any]:
    """What `--json` prints: rows, and all that they were made of."""
    return {
        "bench": "batch",
        "quick": quick,
        "rows": [asdict(row) for row in rows],
        # `asdict` of Python 3.11 cannot copy a Counter.
        "seen": {type(one).__name__: to_jsonable_python(one) for one in seen},
        "surroundings": surroundings(),
    }


def _print(rows: list[Row]) -> None:
    shown = table("ROW", "VALUE", "MUST", "", right=("VALUE",))
    for row in rows:
        shown.add_row(row.name, f"{row.value:.3g}", row.must, "ok" if row.holds else "MISSED")
    out().print(shown)
