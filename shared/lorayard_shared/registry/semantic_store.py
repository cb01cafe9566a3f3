"""The classifier in its bucket: which one is in force, and was. Its files lie in the store of blobs."""

from __future__ import annotations

from lorayard_schemas.semantic import SEMANTIC_KEY, SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.revision_store import RevisionStore


class SemanticStore(RevisionStore[SemanticRecord]):
    """Which classifier is in force, and was; none is one, too."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(
            bus,
            SemanticRecord,
            key=SEMANTIC_KEY,
            none=SemanticRecord(),
            says=lambda record: record.artifact if record.is_on else None,
            told=_told,
            label="the classifier has",
        )

    async def now(self) -> SemanticRecord | None:
        """The last revision; None: there has been none."""
        past = await self.past()
        return past[-1] if past else None

    async def put(self, wanted: SemanticRecord, author: Author) -> SemanticRecord:
        """Put a classifier into force; the one that is in force changes nothing."""
        return await self.change(wanted, author, "train")

    async def turn_off(self, author: Author) -> SemanticRecord:
        """Have no classifier; the ones before stay in the history."""
        return await self.change(SemanticRecord(), author, "off")


def _told(record: SemanticRecord) -> str:
    """Few words: the record itself is in the bucket's history."""
    if not record.is_on:
        return f"revision {record.revision}: off"
    return f"revision {record.revision}: {record.artifact}, {len(record.labels)} adapters"
