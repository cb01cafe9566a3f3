"""What has changed from one sight of the yard to the next, as the page is told it."""

from __future__ import annotations

from typing import Any

from lorayard_gateway.page.sight import Row, Sight, Table


def whole(sight: Sight, history: list[tuple[float | None, ...]]) -> dict[str, Any]:
    """Everything, for a page that has nothing yet."""
    return {"head": sight.head, "tables": sight.tables, "history": history}


def changes(before: Sight, after: Sight) -> dict[str, Any]:
    """What a page that has `before` needs for `after`.

    Of a row that was there only fields that differ; `gone` names rows that are there no more.
    """
    told: dict[str, Any] = {}
    head = _differing(before.head, after.head)
    if gone := before.head.keys() - after.head.keys():
        head |= dict.fromkeys(gone)
    if head:
        told["head"] = head
    tables = {name: _of_table(before.tables[name], table) for name, table in after.tables.items()}
    if tables := {name: one for name, one in tables.items() if one}:
        told["tables"] = tables
    if after.point:
        told["point"] = after.point
    return told


def _of_table(before: Table, after: Table) -> dict[str, Any]:
    rows: Table = {}
    for key, row in after.items():
        known = before.get(key)
        if known is None:
            rows[key] = row
        elif changed := _differing(known, row):
            rows[key] = changed
    told: dict[str, Any] = {}
    if rows:
        told["rows"] = rows
    if gone := [key for key in before if key not in after]:
        told["gone"] = gone
    return told


def _differing(before: Row, after: Row) -> Row:
    if before == after:
        return {}
    return {name: field for name, field in after.items() if name not in before or before[name] != field}
