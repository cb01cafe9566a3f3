"""Aliases in their bucket, changed by people and by the guard."""

from __future__ import annotations

import time
from collections.abc import Callable

from lorayard_schemas.adapter import AdapterState
from lorayard_schemas.alias import AliasRecord, alias_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry import alias_changes
from lorayard_shared.registry.alias_changes import Signed, SplitWish, Versions
from lorayard_shared.registry.chronicle import Chronicle, Chronicled
from lorayard_shared.registry.errors import AliasRefusedError
from lorayard_shared.registry.records import Author, Records

Known = Chronicled[AliasRecord]


class AliasStore:
    """Every change raises AliasRefusedError, ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "aliases", AliasRecord, told=lambda record: record.shares)
        self._records = Records(bus)

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

        def made(known: Known) -> AliasRecord:
            return alias_changes.split(_last(known.past), wish, versions, _signed(author))

        return await self._make(wish.adapter, wish.alias, made, author, verb="split")

    async def promote(
        self, adapter: str, alias: str, version: str | None, versions: Versions, author: Author
    ) -> AliasRecord:
        """Give one version everything; None: the one that is tried out."""

        def made(known: Known) -> AliasRecord:
            label = f"{adapter}@{alias}"
            return alias_changes.promote(known.now, label, version, versions, _signed(author))

        return await self._make(adapter, alias, made, author, verb="promote")

    async def roll_back(
        self, adapter: str, alias: str, to: int | None, versions: Versions, author: Author
    ) -> AliasRecord:
        """Return to a revision; None: to the one before."""

        def made(known: Known) -> AliasRecord:
            label = f"{adapter}@{alias}"
            return alias_changes.roll_back(known.past, label, to, versions, _signed(author))

        return await self._make(adapter, alias, made, author, verb="rollback")

    async def retire(self, adapter: str, alias: str, author: Author) -> None:
        """Let there be no such alias; its history goes on."""

        def made(known: Known) -> AliasRecord:
            return alias_changes.retire(known.now, f"{adapter}@{alias}", _signed(author))

        await self._make(adapter, alias, made, author, verb="retire")

    async def stop(self, record: AliasRecord, version: str, author: Author) -> bool:
        """Take a version's share away, unless the alias has changed meanwhile; whether it was done."""
        done = False

        def stopped(known: Known) -> AliasRecord | None:
            nonlocal done
            made = alias_changes.stop(known.now, record.revision, version, _signed(author))
            done = made is not None
            return made or known.now

        key = alias_key(record.adapter, record.alias)
        await self._chronicle.change(key, stopped, author, verb="stop", label=record.spec)
        return done

    async def _make(
        self, adapter: str, alias: str, made: Callable[[Known], AliasRecord], author: Author, *, verb: str
    ) -> AliasRecord:
        before: AliasRecord | None = None

        def changed(known: Known) -> AliasRecord:
            nonlocal before
            before = known.now
            return made(known)

        done = await self._chronicle.change(
            alias_key(adapter, alias), changed, author, verb=verb, label=f"{adapter}@{alias}"
        )
        assert done is not None, "nothing is taken away"
        await self._look_again(done, before)
        return done

    async def _look_again(self, made: AliasRecord, before: AliasRecord | None) -> None:
        """Undo a change that leads to a version which was archived while it was made.

        Whoever archives looks at the aliases once more, too, after its own change (`archive_version`). So of
        two changes that cross at least one sees the other: no look comes before both writes.

        Raises:
            AliasRefusedError: it was undone.
        """
        for arm in made.arms:
            if arm.weight <= 0:
                continue
            kept = await self._records.find(made.adapter, arm.version)
            if kept is not None and kept.record.state is AdapterState.ACTIVE:
                continue
            state = kept.record.state if kept is not None else "removed"
            reason = f"{made.adapter}@{arm.version} was {state} as {made.spec} was changed, which was undone"
            await self._undo(made, before, reason)
            raise AliasRefusedError(field="version", reason=reason)

    async def _undo(self, made: AliasRecord, before: AliasRecord | None, reason: str) -> None:
        author = Author(actor=made.by, reason=reason)

        def undone(known: Known) -> AliasRecord | None:
            return alias_changes.undo(known.now, made, before, _signed(author)) or known.now

        key = alias_key(made.adapter, made.alias)
        await self._chronicle.change(key, undone, author, verb="undo", label=made.spec)


def _last(past: tuple[AliasRecord, ...]) -> AliasRecord | None:
    """Revisions count on from the last one, also of an alias that was taken away."""
    return past[-1] if past else None


def _signed(author: Author) -> Signed:
    return Signed(by=author.actor, why=author.reason, at=time.time())
