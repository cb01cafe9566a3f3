"""The rules in their bucket: one table, changed as a whole."""

from __future__ import annotations

from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.revision_store import RevisionStore


class RouteStore(RevisionStore[RouteTable]):
    """Which table is in force, and was."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(
            bus,
            RouteTable,
            key=RULES_KEY,
            none=RouteTable(),
            says=_in_force,
            told=_told,
            label="the rules have",
        )

    async def put(self, wanted: RouteTable, author: Author) -> RouteTable:
        """Put a table into force; the same once more changes nothing."""
        return await self.change(wanted, author, "set")


def _in_force(table: RouteTable) -> tuple[object, ...]:
    """What decides on jobs."""
    return table.order, table.rules, table.settles


def _told(table: RouteTable) -> str:
    """Few words: the table itself is in the bucket's history."""
    return f"revision {table.revision}: {', '.join(rule.name for rule in table.rules) or 'no rules'}"[:1000]
