"""The rows as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lorayard_cli.bench.engine_report.document import gap_map, limit_text, row_map
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.rows import NotMeasured, Row
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.output import out, plain, table

FAIRNESS = (
    "Transfers: one client and one server on one machine; the bare side is nats-py's ObjectStore, one put "
    "and one get(writeinto=...) of the same file in chunks of the same size, in turns; ratios are taken "
    "round by round. Ours judges and hashes the folder too, and syncs and judges what it has pulled. "
    "First answers and rollbacks: a server, a dispatcher and two workers with a tiny random model, all on "
    "this machine, real processes and real jobs. A rollback lasts from just before its compare-and-set "
    "until the last row that began on the version that was left. Guard, shares and choices: the yard's "
    "own code on drawn answers and users, no processes. Choosing by meaning: from a job's message to the "
    "verdict, over a prepared Gemma 3 270M's table, without one over the tiny model's, which is not judged."
)


def make_document(
    rows: Sequence[Row], gaps: Sequence[NotMeasured], found: Mapping[str, Figure], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything, for `--json`."""
    missed = any(row.holds is False for row in rows)
    is_open = any(gap.goal.must is not None for gap in gaps) or any(row.holds_so_far for row in rows)
    return {
        "bench": "adapters",
        **about,
        "fairness": FAIRNESS,
        "holds": False if missed else (None if is_open else True),
        "rows": [row_map(row) for row in rows],
        "not_measured": [gap_map(gap) for gap in gaps],
        "facts": {key: dict(figure.facts) for key, figure in found.items() if figure.facts},
        **surroundings(),
    }


def print_document(rows: Sequence[Row], gaps: Sequence[NotMeasured]) -> None:
    """For people."""
    numbers = ("figure", "low", "high", "must")
    shown = table("row", *numbers, "holds", right=numbers)
    for row in rows:
        value = (f"{number:.4g}" for number in (row.value.median, row.value.low, row.value.high))
        holds = "so far" if row.holds_so_far else {True: "yes", False: "NO", None: "-"}[row.holds]
        shown.add_row(plain(row.goal.title), *value, limit_text(row.goal, row.goal.must), holds)
    out().print(shown)
    for row in rows:
        if row.note:
            out().print(plain(f"{row.goal.title}: {row.note}"))
    for gap in gaps:
        out().print(plain(f"not measured: {gap.goal.title}: {gap.reason}"))
    missed = [row.goal.title for row in rows if row.holds is False]
    out().print(plain(f"musts missed: {'; '.join(missed)}" if missed else "every must measured here holds"))
