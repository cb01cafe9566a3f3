"""The rules in their bucket: one table, changed as a whole."""

from __future__ import annotations

from collections.abc import Callable

from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle, Chronicled
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.returning import find_earlier, signed


class RouteStore:
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "rules", RouteTable, told=_told)

    async def past(self) -> tuple[RouteTable, ...]:
        """What they were, the oldest first, and are."""
        return (await self._chronicle.read(RULES_KEY)).past

    async def put(self, wanted: RouteTable, author: Author) -> RouteTable:
        """Put a table into force; the same once more changes nothing."""

        def changed(known: Chronicled[RouteTable]) -> RouteTable:
            now = known.now
            if now is not None and _in_force(now) == _in_force(wanted):
                return now
            return signed(wanted, known.past, author, restores=None)

        return await self._change(changed, author, "set")

    async def roll_back(self, to: int | None, author: Author) -> RouteTable:
        """Return to a revision; None: to the one before, past returns.

        Raises:
            RuleRevisionError: there is none.
        """

        def changed(known: Chronicled[RouteTable]) -> RouteTable:
            target = find_earlier(known.past, to, has="the rules have")
            return signed(target, known.past, author, restores=target.restores or target.revision)

        return await self._change(changed, author, "rollback")

    async def take_back(self, made: RouteTable, author: Author) -> None:
        """Put what was before in force again, unless somebody has changed the rules since."""

        def changed(known: Chronicled[RouteTable]) -> RouteTable:
            if known.now != made:
                return known.past[-1]
            before = known.past[-2] if len(known.past) > 1 else RouteTable()
            restores = (before.restores or before.revision) if len(known.past) > 1 else None
            return signed(before, known.past, author, restores=restores)

        await self._change(changed, author, "undo")

    async def _change(
        self, changed: Callable[[Chronicled[RouteTable]], RouteTable], author: Author, verb: str
    ) -> RouteTable:
        made = await self._chronicle.change(RULES_KEY, changed, author, verb=verb, label=RULES_KEY)
        assert made is not None, "nothing is taken away"
        return made


def _in_force(table: RouteTable) -> tuple[object, ...]:
    """What decides on jobs."""
    return table.order, table.rules, table.settles


def _told(table: RouteTable) -> str:
    """Few words: the table itself is in the bucket's history."""
    return f"revision {table.revision}: {', '.join(rule.name for rule in table.rules) or 'no rules'}"[:1000]
