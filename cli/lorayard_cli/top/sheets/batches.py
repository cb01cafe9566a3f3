"""Batches of the gateways."""

from __future__ import annotations

from lorayard_cli.top.amounts import UNKNOWN, age, count
from lorayard_cli.top.columns import Column
from lorayard_cli.top.row import Mark, Row, Sheet
from lorayard_schemas.snapshot import BatchRow, YardSnapshot

BATCHES = Sheet(
    columns=(
        Column(title="batch", width=16, grows=True, keeps_end=True),
        Column(title="tenant", width=10, grows=True),
        Column(title="status", width=11),
        Column(title="lines", width=7, right=True),
        Column(title="done", width=6, right=True),
        Column(title="failed", width=6, right=True),
        Column(title="age", width=5, right=True),
        Column(title="", width=10),
    ),
    sorted_by=6,
    empty="No batch runs, and none ended within the last hour. Gateways take them at /v1/batches.",
)

BAR = 10

_BAD = frozenset({"failed", "expired"})
_ENDED = frozenset({"failed", "expired", "completed", "cancelled"})


def batch_rows(snapshot: YardSnapshot) -> list[Row[BatchRow]]:
    """One for each that has not ended, or just has."""
    return [_row(batch, snapshot.at) for batch in snapshot.batches]


def _row(one: BatchRow, now: float) -> Row[BatchRow]:
    ended, old = one.completed + one.failed, max(0.0, now - one.created_at)
    return Row(
        key=f"{one.tenant} {one.batch}",
        cells=(
            one.batch,
            one.tenant,
            one.status,
            count(one.total),
            f"{ended / one.total:.0%}" if one.total else UNKNOWN,
            count(one.failed),
            age(old) if one.created_at else UNKNOWN,
            bar(ended, one.total),
        ),
        order=(
            one.batch,
            one.tenant,
            one.status,
            one.total,
            ended / one.total if one.total else 0.0,
            one.failed,
            old,
            ended / one.total if one.total else 0.0,
        ),
        mark=_mark(one),
        about=one,
    )


def _mark(one: BatchRow) -> Mark:
    if one.status in _BAD or one.failed:
        return Mark.WARNING
    return Mark.FAINT if one.status in _ENDED else Mark.PLAIN


def bar(done: int, total: int) -> str:
    """How far it is."""
    full = min(BAR, BAR * done // total) if total else 0
    return "█" * full + "░" * (BAR - full)


def batch_detail(one: BatchRow) -> str:
    """The chosen one in full."""
    told = f"{count(one.completed)} answered, {count(one.failed)} failed, of {count(one.total)} lines"
    ends = "" if one.status in _ENDED else f"\nPOST /v1/batches/{one.batch}/cancel at a gateway ends it."
    return f"{one.batch} · tenant {one.tenant}\n{one.status}: {told}{ends}"
