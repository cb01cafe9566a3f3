"""Tables of figures in the documents, made of the results that are kept: `python -m benchmarks.docs_tables`.

A table stands between two marks, so that a figure is in one place only: `results/`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
END = "<!-- end of figures -->"

Results = dict[str, dict[str, Any]]
"""By benchmark, those that are there."""


def begin(name: str) -> str:
    """The mark before a table."""
    return f"<!-- figures: {name}; made by `python -m benchmarks.docs_tables` -->"


def view_table(results: Results) -> str:
    """What it costs to look at a yard, and how true that is."""
    rows = [*_top_rows(results.get("top")), *_view_rows(results.get("view"))]
    if not rows:
        return "None are recorded yet."
    return "\n".join(("| | measured | must |", "|---|---|---|", *rows))


def _top_rows(top: dict[str, Any] | None) -> Iterator[str]:
    if top is not None:
        slowest = max(row["milliseconds"]["median"] for row in top["refresh"].values())
        yield f"| a refresh of `lorayard top`, its slowest tab | {slowest:.0f} ms | < 200 ms |"


def _view_rows(view: dict[str, Any] | None) -> Iterator[str]:
    if view is None:
        return
    refresh, depth, lost = view["refresh"], view["depth"], view["lost"]["seconds"]
    yield f"| a refresh of the page, at its gateway | {refresh['page_ms']['median']:.0f} ms | < 200 ms |"
    yield f"| `client.snapshot()`, gateway and client | {refresh['client_ms']['median']:.0f} ms | < 200 ms |"
    yield f"| `kill -9` of a worker until the page shows it as lost, at most | {lost['high']:.1f} s | 6 s |"
    for part, what in _FOUND.items():
        if part in view:  # else recorded before it was measured
            found = view[part]["seconds"]
            yield f"| {what}, at most | {found['high']:.1f} s | {found['must']:g} s |"
    right, looks = depth["right"] + depth["told_right"], depth["looks"] + depth["told"]
    yield f"| depths shown under load that the stream had within the last second | {right} of {looks} | all |"
    yield f"| depths at rest | {'exact' if depth['at_rest'] else 'wrong'} | exact |"


_FOUND = {
    "deaf": "a consumer is deleted until its dispatcher says so, or has it again",
    "blind": "a bucket changes until a watch whose consumer is gone has found it out and knows the change",
}


def audit_table(results: Results) -> str:
    """What audit records cost a yard whose jobs are nothing but their way over the bus."""
    audit = results.get("audit")
    if audit is None:
        return "None are recorded yet."
    bare = audit["yards"]["none"]
    spent = [f"{bare['processor_us_per_job'][part]['median']:.0f} µs" for part in _PARTS]
    rate = f"{bare['jobs_per_second']['median']:,.0f} jobs/s"
    return "\n".join(
        (
            f"Medians of {audit['rounds']} rounds of {audit['jobs']:,} jobs that do nothing, and the range; "
            f"processor time is that of a job. {audit['date']}, {audit['cores']} cores ({audit['machine']}), "
            "`python -m benchmarks.audit_cost`.",
            "",
            "| | jobs/s, with ÷ without | dispatcher | workers | server | all processes |",
            "|---|---|---|---|---|---|",
            f"| without records | {rate} | {' | '.join(spent)} |",
            *(_audit_row(name, audit["beside"][name]) for name in ("decisions", "outcomes", "both")),
        )
    )


def _audit_row(name: str, beside: dict[str, Any]) -> str:
    ratio, more = beside["ratio"], beside["more_us_per_job"]
    cells = [f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"]
    for part in _PARTS:
        row = more[part]
        cells.append(f"{row['median']:+.0f} µs ({row['low']:+.0f} to {row['high']:+.0f})")
    return f"| {name} | {' | '.join(cells)} |"


_PARTS = ("dispatcher", "workers", "bus", "all")

TABLES: dict[str, tuple[str, Callable[[Results], str]]] = {
    "audit": ("docs/audit.md", audit_table),
    "view": ("docs/operations.md", view_table),
}
"""Table -> its document, and how it is made."""


def read_results() -> Results:
    """All that is kept."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")}


def with_table(text: str, name: str, table: str) -> str:
    """The document with this table between its marks.

    Raises:
        ValueError: it has no such marks.
    """
    head, found, rest = text.partition(begin(name))
    _, ended, tail = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"no marks around the table {name}")
    return f"{head}{found}\n\n{table}\n\n{END}{tail}"


def main() -> int:
    """Write them all anew."""
    results = read_results()
    for name, (path, make) in TABLES.items():
        document = ROOT / path
        text = with_table(document.read_text(encoding="utf-8"), name, make(results))
        document.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
