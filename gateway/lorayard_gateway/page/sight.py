"""A snapshot of the yard as the page has it: a head that is small, and tables by keys, so that of two of them
only what differs has to travel. Values in, values out.

What is told in seconds that pass becomes the moment it counts from: a row whose age grows has not changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

from lorayard_schemas.message import Part
from lorayard_schemas.snapshot import AdapterRow, WorkerRow, YardSnapshot
from lorayard_shared.value import value

Row = dict[str, Any]
Table = dict[str, Row]

STEADY_SECONDS = 1.5
"""By so much a moment may move and be the same: it is told each second, from another clock, after a way."""

SEPARATOR = "\x1f"
"""In keys of rows; no name that is sent may hold it."""

TABLES = ("queues", "waits", "adapters", "workers", "batches")


@value
class Sight:
    """What one viewer is shown."""

    head: Row = field(default_factory=dict[str, Any])
    tables: dict[str, Table] = field(default_factory=lambda: {name: {} for name in TABLES})
    point: tuple[float | None, ...] = ()
    """For plots: at, unfinished, jobs/s, tokens/s, hit rate, oldest seconds, loads/s."""


def sight_of(snapshot: YardSnapshot, before: Sight) -> Sight:
    """All of the yard."""
    at, overview = snapshot.at, snapshot.overview
    head: Row = {
        "prefix": snapshot.prefix,
        "url": snapshot.url,
        "release": snapshot.release,
        "away": "",
        "overview": _told(overview, at),
        "troubles": [_plain(one) for one in snapshot.troubles],
        "dispatchers": [
            {"name": one.dispatcher, "seats": list(one.seats), "blind": one.blind, "parked": _parked(one)}
            for one in snapshot.dispatchers
        ],
        "strikes": [_plain(one) for one in snapshot.strikes],
        "pauses": [_plain(one) for one in snapshot.pauses],
        "caps": [_plain(one) for one in snapshot.caps],
        "left_out": {
            "queues": snapshot.queues_left_out,
            "adapters": snapshot.adapters_left_out,
            "workers": snapshot.workers_left_out,
        },
    }
    head["overview"] = _steady(head["overview"], before.head.get("overview"))
    rows: dict[str, Iterable[tuple[str, Row]]] = {
        "queues": ((_key(one.lane, one.tenant, one.adapter), _told(one, at)) for one in snapshot.queues),
        "waits": ((one.adapter, _told(one, at)) for one in snapshot.waits),
        "adapters": ((f"{one.name}@{one.version}", _adapter(one)) for one in snapshot.adapters),
        "workers": ((one.worker, _worker(one, at)) for one in snapshot.workers),
        "batches": ((_key(one.tenant, one.batch), _plain(one)) for one in snapshot.batches),
    }
    tables = {
        name: {key: _steady(row, before.tables[name].get(key)) for key, row in made}
        for name, made in rows.items()
    }
    point = (
        round(at, 1),
        overview.unfinished,
        overview.jobs_per_second,
        overview.tokens_per_second,
        overview.hit_rate,
        overview.oldest_seconds,
        overview.loads_per_second,
    )
    return Sight(head=head, tables=tables, point=point)


def of_tenant(sight: Sight, tenant: str, usable: frozenset[str]) -> Sight:
    """What is a tenant's own of it, and the adapter versions that it may use (`name@version`).

    Counts of all tenants are left out, and so is what workers do: they say what others ask for.
    """
    if not sight.head:
        return sight
    queues = {key: row for key, row in sight.tables["queues"].items() if row["tenant"] == tenant}
    batches = {key: row for key, row in sight.tables["batches"].items() if row["tenant"] == tenant}
    adapters = {key: _public(row) for key, row in sight.tables["adapters"].items() if key in usable}
    unfinished = sum(row["jobs"] for row in queues.values())
    by_lane: dict[str, int] = {}
    for row in queues.values():
        by_lane[row["lane"]] = by_lane.get(row["lane"], 0) + row["jobs"]
    begun = [row["oldest_at"] for row in queues.values() if row["oldest_at"] is not None]
    head = {name: sight.head[name] for name in ("prefix", "release", "away")}
    head["overview"] = {"unfinished": unfinished, "by_lane": by_lane, "oldest_at": min(begun, default=None)}
    tables: dict[str, Table] = {name: {} for name in TABLES}
    tables |= {"queues": queues, "adapters": adapters, "batches": batches}
    return Sight(head=head, tables=tables, point=(*sight.point[:1], unfinished))


def away(sight: Sight, why: str) -> Sight:
    """The same, which cannot be read any more, and why."""
    return Sight(head={**sight.head, "away": why}, tables=sight.tables)


def _key(*parts: str | None) -> str:
    return SEPARATOR.join(part or "" for part in parts)


def _parked(one: Any) -> int:
    return sum(group.jobs for group in one.parked)


def _plain(part: Part) -> Row:
    return part.model_dump(mode="json", exclude={"v"})


def _told(part: Part, at: float) -> Row:
    """With the moment of its oldest job instead of that one's age."""
    row = _plain(part)
    row["oldest_at"] = _since(at, row.pop("oldest_seconds"))
    return row


def _adapter(one: AdapterRow) -> Row:
    row = _plain(one)
    del row["name"], row["version"]  # they are its key
    traffic = row["traffic"]
    if traffic is not None:
        row["traffic"] = {name: float(f"{number:.3g}") for name, number in traffic.items()}
    return row


def _worker(one: WorkerRow, at: float) -> Row:
    row = _plain(one)
    age = row.pop("age_seconds")
    row["heard_at"] = _since(at, age) if one.silent or one.lost else None
    return row


def _public(row: Row) -> Row:
    """Of an adapter, without what others do with it."""
    hidden: Row = {"waiting": 0, "slots": [], "host": 0, "loading": 0, "refused_by": [], "traffic": None}
    return {**row, **hidden}


def _since(at: float, seconds: float | None) -> float | None:
    return None if seconds is None else round(at - seconds, 1)


def _steady(row: Row, before: Row | None) -> Row:
    """With moments as they were told before where they have hardly moved."""
    if before is not None:
        for name in ("oldest_at", "heard_at"):
            new, old = row.get(name), before.get(name)
            if new is not None and old is not None and abs(new - old) < STEADY_SECONDS:
                row[name] = old
    return row
