"""The classifier in its bucket: which one is in force, and was. Its files lie in the store of blobs."""

from __future__ import annotations

from collections.abc import Callable

from lorayard_schemas.semantic import SEMANTIC_KEY, SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle, Chronicled
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.returning import find_earlier, signed


class SemanticStore:
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "rules", SemanticRecord, told=_told)

    async def past(self) -> tuple[SemanticRecord, ...]:
        """What was in force, the oldest first, and is."""
        return (await self._chronicle.read(SEMANTIC_KEY)).past

    async def now(self) -> SemanticRecord | None:
        """The last revision; None: there has been none."""
        past = await self.past()
        return past[-1] if past else None

    async def put(self, wanted: SemanticRecord, author: Author) -> SemanticRecord:
        """Put a classifier into force; the one that is in force changes nothing."""

        def changed(known: Chronicled[SemanticRecord]) -> SemanticRecord:
            now = known.now
            if now is not None and now.artifact == wanted.artifact:
                return now
            return signed(wanted, known.past, author, restores=None)

        return await self._change(changed, author, "train")

    async def turn_off(self, author: Author) -> SemanticRecord:
        """Have no classifier; the ones before stay in the history."""

        def changed(known: Chronicled[SemanticRecord]) -> SemanticRecord:
            if known.now is not None and not known.now.is_on:
                return known.now
            return signed(SemanticRecord(), known.past, author, restores=None)

        return await self._change(changed, author, "off")

    async def roll_back(self, to: int | None, author: Author) -> SemanticRecord:
        """Return to a revision; None: to the one before, past returns.

        Raises:
            RuleRevisionError: there is none.
        """

        def changed(known: Chronicled[SemanticRecord]) -> SemanticRecord:
            target = find_earlier(known.past, to, has="the classifier has")
            return signed(target, known.past, author, restores=target.restores or target.revision)

        return await self._change(changed, author, "rollback")

    async def take_back(self, made: SemanticRecord, author: Author) -> None:
        """Put what was before in force again, unless somebody has changed it since."""

        def changed(known: Chronicled[SemanticRecord]) -> SemanticRecord:
            if known.now != made:
                return known.past[-1]
            past = known.past
            before, was = (past[-2], True) if len(past) > 1 else (SemanticRecord(), False)
            restores = (before.restores or before.revision) if was else None
            return signed(before, known.past, author, restores=restores)

        await self._change(changed, author, "undo")

    async def _change(
        self,
        changed: Callable[[Chronicled[SemanticRecord]], SemanticRecord],
        author: Author,
        verb: str,
    ) -> SemanticRecord:
        made = await self._chronicle.change(SEMANTIC_KEY, changed, author, verb=verb, label=SEMANTIC_KEY)
        assert made is not None, "nothing is taken away"
        return made


def _told(record: SemanticRecord) -> str:
    """Few words: the record itself is in the bucket's history."""
    if not record.is_on:
        return f"revision {record.revision}: off"
    return f"revision {record.revision}: {record.artifact}, {len(record.labels)} adapters"
