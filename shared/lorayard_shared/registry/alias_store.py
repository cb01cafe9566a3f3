"""Aliases in their bucket, changed by people and by the guard."""

from __future__ import annotations

import time

from lorayard_schemas.alias import AliasRecord, alias_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry import alias_changes
from lorayard_shared.registry.alias_changes import Signed, SplitWish, Versions
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.records import Author


class AliasStore:
    """Every change raises AliasRefusedError, ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "aliases", AliasRecord, told=lambda record: record.shares)

    async def list(self) -> list[AliasRecord]:
        """All that there are, by name."""
        return sorted(
            (record for record in await self._chronicle.list() if record.arms), key=lambda one: one.spec
        )

    async def past(self, adapter: str, alias: str) -> tuple[AliasRecord, ...]:
        """What it was, the oldest first, and is."""
        return (await self._chronicle.read(alias_key(adapter, alias))).past

    async def split(self, wish: SplitWish, versions: Versions, author: Author) -> AliasRecord:
        """Give versions their shares, also of an alias that is new."""
        made = await self._chronicle.change(
            alias_key(wish.adapter, wish.alias),
            lambda known: alias_changes.split(_last(known.past), wish, versions, _signed(author)),
            author,
            verb="split",
            label=f"{wish.adapter}@{wish.alias}",
        )
        assert made is not None, "nothing is taken away"
        return made

    async def promote(
        self, adapter: str, alias: str, version: str | None, versions: Versions, author: Author
    ) -> AliasRecord:
        """Give one version everything; None: the one that is tried out."""
        label = f"{adapter}@{alias}"
        made = await self._chronicle.change(
            alias_key(adapter, alias),
            lambda known: alias_changes.promote(known.now, label, version, versions, _signed(author)),
            author,
            verb="promote",
            label=label,
        )
        assert made is not None, "nothing is taken away"
        return made

    async def roll_back(
        self, adapter: str, alias: str, to: int | None, versions: Versions, author: Author
    ) -> AliasRecord:
        """Return to a revision; None: to the one before."""
        label = f"{adapter}@{alias}"
        made = await self._chronicle.change(
            alias_key(adapter, alias),
            lambda known: alias_changes.roll_back(known.past, label, to, versions, _signed(author)),
            author,
            verb="rollback",
            label=label,
        )
        assert made is not None, "nothing is taken away"
        return made

    async def retire(self, adapter: str, alias: str, author: Author) -> None:
        """Let there be no such alias; its history goes on."""
        label = f"{adapter}@{alias}"
        await self._chronicle.change(
            alias_key(adapter, alias),
            lambda known: alias_changes.retire(known.now, label, _signed(author)),
            author,
            verb="retire",
            label=label,
        )

    async def stop(self, record: AliasRecord, version: str, author: Author) -> bool:
        """Take a version's share away, unless the alias has changed meanwhile; whether it was done."""
        done = False

        def stopped(now: AliasRecord | None) -> AliasRecord | None:
            nonlocal done
            made = alias_changes.stop(now, record.revision, version, _signed(author))
            done = made is not None
            return made or now

        await self._chronicle.change(
            alias_key(record.adapter, record.alias),
            lambda known: stopped(known.now),
            author,
            verb="stop",
            label=record.spec,
        )
        return done


def _last(past: tuple[AliasRecord, ...]) -> AliasRecord | None:
    """Revisions count on from the last one, also of an alias that was taken away."""
    return past[-1] if past else None


def _signed(author: Author) -> Signed:
    return Signed(by=author.actor, why=author.reason, at=time.time())
