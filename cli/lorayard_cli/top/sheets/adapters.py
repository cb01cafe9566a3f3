"""Adapters: every version, where it is, what waits for it and how it answers."""

from __future__ import annotations

from lorayard_cli.output import short_digest
from lorayard_cli.top.amounts import UNKNOWN, count, megabytes, milliseconds, rate, share
from lorayard_cli.top.columns import Column
from lorayard_cli.top.row import LEAST, Mark, Row, Sheet
from lorayard_schemas.adapter import AdapterState
from lorayard_schemas.names import version_order
from lorayard_schemas.snapshot import AdapterRow, YardSnapshot

ADAPTERS = Sheet(
    columns=(
        Column(title="adapter", width=29, grows=True, keeps_end=True),
        Column(title="ver", width=4, grows=True),
        Column(title="is", width=9),
        Column(title="jobs", width=6, right=True),
        Column(title="slots", width=5, right=True),
        Column(title="host", width=4, right=True, rank=4),
        Column(title="req/s", width=6, right=True),
        Column(title="p95", width=6, right=True),
        Column(title="errors", width=6, right=True),
        Column(title="rank", width=4, right=True, rank=2),
        Column(title="MB", width=8, right=True, rank=3),
        Column(title="aliases", width=12, grows=True, rank=1),
    ),
    sorted_by=3,
    descending=True,
    empty="No adapter is registered. `lorayard adapters push FOLDER NAME` adds one.",
)

MANY_ERRORS = 0.05
"""Marks a row; alerts and guards judge by their own rules."""


def adapter_rows(snapshot: YardSnapshot) -> list[Row[AdapterRow]]:
    """One for each version."""
    return [_row(adapter) for adapter in snapshot.adapters]


def _row(one: AdapterRow) -> Row[AdapterRow]:
    traffic = one.traffic
    aliases = alias_text(one)
    return Row(
        key=f"{one.name}@{one.version}",
        cells=(
            one.name,
            one.version,
            _standing(one),
            count(one.waiting),
            _slots(one),
            str(one.host),
            rate(traffic.per_second if traffic else None),
            milliseconds(traffic.p95_ms) if traffic else UNKNOWN,
            share(traffic.errors if traffic else None),
            str(one.rank),
            megabytes(one.size_bytes),
            aliases,
        ),
        order=(
            one.name,
            version_order(one.version),
            _standing(one),
            one.waiting,
            len(one.slots),
            one.host,
            traffic.per_second if traffic else LEAST,
            traffic.p95_ms if traffic else LEAST,
            traffic.errors if traffic else LEAST,
            one.rank,
            one.size_bytes,
            aliases,
        ),
        mark=_mark(one),
        about=one,
    )


def _standing(one: AdapterRow) -> str:
    if one.struck:
        return "struck"
    if one.pinned and one.state == AdapterState.ACTIVE:
        return "pinned"
    return one.state


def _slots(one: AdapterRow) -> str:
    return f"{len(one.slots)}+{one.loading}" if one.loading else str(len(one.slots))


def _mark(one: AdapterRow) -> Mark:
    if one.struck or one.refused_by or (one.traffic is not None and one.traffic.errors >= MANY_ERRORS):
        return Mark.WARNING
    return Mark.PLAIN if one.state == AdapterState.ACTIVE else Mark.FAINT


def alias_text(one: AdapterRow) -> str:
    """`stable 90%, canary 10%`."""
    return ", ".join(
        f"{alias.rpartition('@')[2]} {percent:g}%" for alias, percent in sorted(one.aliases.items())
    )


def adapter_detail(one: AdapterRow) -> str:
    """The chosen one in full."""
    where = f"in slots of {', '.join(one.slots)}" if one.slots else "in no slot"
    if one.loading:
        where += f", {one.loading} load it"
    parts = [f"{one.name}@{one.version}", one.state, f"rank {one.rank}", f"{megabytes(one.size_bytes)} MB"]
    if one.aliases:
        parts.append(alias_text(one))
    lines = [" · ".join(parts), f"{where} · in host memory of {one.host} · {short_digest(one.digest)}"]
    if one.struck:
        lines.append(f"struck: {one.struck}")
    elif one.refused_by:
        lines.append(f"refused by {', '.join(one.refused_by)}: `lorayard adapters show` says why")
    elif one.placed:
        lines.append("a placement is declared for it: `lorayard adapters place` changes it")
    return "\n".join(lines)
