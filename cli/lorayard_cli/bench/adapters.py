"""Adapters on their way: transfers, first answers, rollbacks, the guard, shares, choosing by meaning."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from lorayard_cli.bench.adapters_report.document import make_document, print_document
from lorayard_cli.bench.adapters_report.goals import GOALS
from lorayard_cli.bench.adapters_sides.first_answer import first_answer_figures
from lorayard_cli.bench.adapters_sides.guarding import guard_figures
from lorayard_cli.bench.adapters_sides.meaning import meaning_figures
from lorayard_cli.bench.adapters_sides.rollback import rollback_figures
from lorayard_cli.bench.adapters_sides.sharing import sharing_figures
from lorayard_cli.bench.adapters_sides.sizes import FULL, QUICK, Sizes
from lorayard_cli.bench.adapters_sides.transfer import transfer_figures
from lorayard_cli.bench.adapters_sides.yard import live_yard
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.rows import UNEXPLAINED, NotMeasured, Row, exit_code
from lorayard_cli.loops import run_service
from lorayard_cli.options import models_folder
from lorayard_cli.output import note, print_json
from lorayard_workers.model_store import GEMMA3_270M, TINY


def run(*, quick: bool, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    phases = Phases()
    found = measure(QUICK if quick else FULL, phases)
    rows, gaps = judge(found)
    about = {"quick": quick, "seconds": round(phases.seconds), "seconds_by_phase": phases.by_name}
    if as_json:
        print_json(make_document(rows, gaps, found, about))
    else:
        print_document(rows, gaps)
    return exit_code(rows)


class Phases:
    """Where the time went; says on stderr what has ended."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self.by_name: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def end(self, name: str) -> None:
        """A phase has ended."""
        now = time.monotonic()
        self.by_name[name] = round(now - self._last, 1)
        self._last = now
        note(f"{name}: {self.by_name[name]} s")


def measure(sizes: Sizes, phases: Phases) -> dict[str, Figure]:
    """Every figure, by the key of its goal."""
    found = guard_figures(sizes.guard_seeds, sizes.equal_seeds, sizes.equal_answers)
    phases.end("guard")
    found |= sharing_figures(sizes.assignments)
    phases.end("shares")
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as folder:
        found |= run_service(_live(Path(folder), sizes, phases))
        phases.end("stopping the yard")
        prepared = models_folder() / GEMMA3_270M
        whole = (prepared / "config.json").is_file()
        model = prepared if whole else Path(folder) / "models" / TINY
        found |= meaning_figures(model, sizes.decisions, whole=whole)
    phases.end("choosing by meaning")
    return found


async def _live(folder: Path, sizes: Sizes, phases: Phases) -> dict[str, Figure]:
    async with live_yard(folder) as yard:
        phases.end("starting a yard")
        found = await first_answer_figures(yard, sizes.versions)
        phases.end("first answers")
        found |= await rollback_figures(yard, sizes.rollbacks)
        phases.end("rollbacks")
        found |= await transfer_figures(yard, sizes.transfer_mib, sizes.transfer_rounds)
        phases.end("transfers")
    return found


def judge(found: Mapping[str, Figure]) -> tuple[list[Row], list[NotMeasured]]:
    """A row for every goal with a figure; the others, and why they have none."""
    rows = [
        Row(goal=goal, value=found[goal.key].value, note=found[goal.key].note, whole=found[goal.key].whole)
        for goal in GOALS
        if goal.key in found
    ]
    return rows, [NotMeasured(goal=goal, reason=UNEXPLAINED) for goal in GOALS if goal.key not in found]
