"""What the demo shows at its end: a row per job, and what grouping saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from lorayard import Result
from lorayard_cli.answers import result_document
from lorayard_cli.demo.workload import DemoJob
from lorayard_cli.output import plain

OTHER_COLUMNS = 60
"""Characters of all columns but the last, with the gaps between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """How it went."""

    jobs: Sequence[DemoJob]
    results: Sequence[Result]
    workers: int
    slots: int
    swaps_made: int
    swaps_in_arrival_order: int
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether every job has an answer."""
        return all(result.succeeded for result in self.results)


def document(report: DemoReport) -> dict[str, Any]:
    """The report as JSON."""
    rows = zip(report.jobs, report.results, strict=True)
    return {
        "succeeded": report.succeeded,
        "seconds": round(report.seconds, 2),
        "workers": report.workers,
        "slots": report.slots,
        "swaps_made": report.swaps_made,
        "swaps_in_arrival_order": report.swaps_in_arrival_order,
        "jobs": [{"document": job.document, **result_document(result)} for job, result in rows],
    }


def show(report: DemoReport, console: Console) -> None:
    """The table and the line below it."""
    console.print(_table(report, words_width=max(12, min(60, console.width - OTHER_COLUMNS))))
    tokens = sum(result.usage.completion_tokens for result in report.results)
    failed = sum(not result.succeeded for result in report.results)
    ending = f", {failed} failed" if failed else ", all answered"
    console.print(
        f"\n{len(report.jobs)} jobs in {report.seconds:.1f} s{ending}; {tokens} tokens by "
        f"{report.workers} workers with {report.slots} adapter slots each."
    )
    console.print(
        f"[bold]Adapter swaps: {report.swaps_made}[/] (jobs that wait together share a load); "
        f"dealt out in arrival order: [bold]{report.swaps_in_arrival_order}[/]."
    )


def _table(report: DemoReport, words_width: int) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    made.add_column("job", no_wrap=True, min_width=15, max_width=15, overflow="ellipsis")
    # Widths of their own: on a narrow terminal only the last column may give way.
    for column, width in (("adapter", 8), ("ver", 3), ("worker", 6), ("slot", 4)):
        made.add_column(column, no_wrap=True, min_width=width)
    for column, width in (("wait", 6), ("tok", 3)):
        made.add_column(column, no_wrap=True, min_width=width, justify="right")
    made.add_column("first words", no_wrap=True, overflow="ellipsis", max_width=words_width)
    for job, result in zip(report.jobs, report.results, strict=True):
        made.add_row(*_row(job, result))
    return made


def _row(job: DemoJob, result: Result) -> tuple[str, ...]:
    said = " ".join(result.text.split())
    if not result.succeeded:
        said = f"{result.state.value}: {result.error.message if result.error else ''}"
    return (
        plain(job.document),
        job.adapter.rpartition("/")[2] if job.adapter else "(base)",
        result.version or "-",
        result.worker or "-",
        {"slot": "hit", "merged": "hit", "none": "-"}.get(result.tier, "[yellow]load[/]"),
        f"{(result.timings.waited_ms + result.timings.queued_ms) / 1000:.1f} s",
        str(result.usage.completion_tokens),
        plain(said) if result.succeeded else f"[red]{plain(said)}[/]",
    )
