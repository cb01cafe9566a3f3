"""Everything that names files in the store of blobs: whoever takes files away asks here, and nowhere else.

A new kind of referer is added here, with its bucket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.semantic import SEMANTIC_KEY, SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_history
from lorayard_shared.registry.errors import RecordUnreadableError
from lorayard_shared.registry.model_store import MODELS, ModelStore

ListRecords = Callable[[], Awaitable[Sequence[AdapterRecord]]]
"""Every record there is; raises where one cannot be read, for nobody knows then what it needs."""

BUCKETS = ("adapters", "rules", MODELS)
"""In which they stand: records of versions, classifiers of what prompts mean, cards of base models."""


async def referenced_files(bus: Bus, list_records: ListRecords) -> list[StoredFile]:
    """Of every version, every classifier that is in force or that one may return to, and every tokenizer.

    Raises:
        RecordUnreadableError: nobody knows what a classifier's record needs.
        nats.errors.Error: the bus does not answer.
    """
    records = await list_records()
    tokenizers = [card.tokenizer for card in await ModelStore(bus).list()]
    return [*(file for record in records for file in record.files), *await _of_classifiers(bus), *tokenizers]


async def _of_classifiers(bus: Bus) -> list[StoredFile]:
    bucket = await bus.js.key_value(bus.subjects.bucket("rules"))
    found: list[StoredFile] = []
    for entry in await list_history(bucket, SEMANTIC_KEY):
        if entry.operation is None and entry.value:
            try:
                found += decode(SemanticRecord, entry.value).files
            except MalformedMessageError as error:
                raise RecordUnreadableError(key=SEMANTIC_KEY, reason=str(error)) from error
    return found


async def last_reference(bus: Bus) -> int:
    """A number that grows with every change of what is named."""
    found = [await bus.api(f"STREAM.INFO.KV_{bus.subjects.bucket(kind)}") for kind in BUCKETS]
    return sum(int(info["state"]["last_seq"]) for info in found)
