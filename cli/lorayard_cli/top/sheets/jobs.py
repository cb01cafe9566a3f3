"""Jobs: the oldest that wait or run, those that wait for their time, and those that ended last."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_cli.top.amounts import UNKNOWN, age, milliseconds
from lorayard_cli.top.columns import Column
from lorayard_cli.top.listed_job import ListedJob, Where
from lorayard_cli.top.row import Mark, Row, Sheet

JOBS = Sheet(
    columns=(
        Column(title="is", width=9),
        Column(title="when", width=7, right=True),
        Column(title="took", width=6, right=True),
        Column(title="lane", width=6),
        Column(title="try", width=3, right=True),
        Column(title="tenant", width=10, grows=True, rank=1),
        Column(title="adapter", width=14, grows=True, keeps_end=True),
        Column(title="worker", width=10, grows=True, rank=2),
        Column(title="error", width=14, grows=True, rank=3),
        Column(title="job", width=24, grows=True),
    ),
    sorted_by=0,
    empty="No job waits, runs or has ended lately. `lorayard submit` sends one.",
)

_ORDER = {where: place for place, where in enumerate(Where)}


def job_rows(jobs: Sequence[ListedJob], now: float) -> list[Row[ListedJob]]:
    """One for each."""
    return [_row(job, now) for job in jobs]


def _row(one: ListedJob, now: float) -> Row[ListedJob]:
    when = _when(one, now)
    return Row(
        key=f"{one.tenant} {one.job}",
        cells=(
            one.where.value,
            when,
            milliseconds(one.total_ms) if one.total_ms else UNKNOWN,
            one.lane or UNKNOWN,
            str(one.attempt),
            one.tenant,
            one.adapter or UNKNOWN,
            one.worker or UNKNOWN,
            one.code or UNKNOWN,
            one.job,
        ),
        order=(
            # The soonest and the oldest first; of those that have ended the newest.
            (_ORDER[one.where], one.at if one.unfinished else -one.at),
            one.at,
            one.total_ms,
            one.lane,
            one.attempt,
            one.tenant,
            one.adapter or "",
            one.worker,
            one.code,
            one.job,
        ),
        mark=_mark(one),
        about=one,
    )


def _when(one: ListedJob, now: float) -> str:
    if one.where in (Where.SCHEDULED, Where.RETRIES):
        return f"in {age(max(0.0, one.at - now))}"
    return age(max(0.0, now - one.at))


def _mark(one: ListedJob) -> Mark:
    if one.where is Where.FAILED:
        return Mark.WARNING
    return Mark.PLAIN if one.unfinished else Mark.FAINT


def job_detail(one: ListedJob) -> str:
    """The chosen one in full."""
    parts = [one.job, f"tenant {one.tenant}", *([f"lane {one.lane}"] if one.lane else [])]
    lines = [" · ".join(parts)]
    doing = f"{one.where.value}{f' {one.worker}' if one.worker else ''}"
    lines.append(" · ".join([doing, one.adapter or "no adapter named", *([one.code] if one.code else [])]))
    return "\n".join([*lines, "Enter: why it waits, or why it went where it went."])
