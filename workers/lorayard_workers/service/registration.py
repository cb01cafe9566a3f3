"""Tell the yard which adapters this worker can serve: records in `yard_adapters`.

A version never changes its bytes: when another worker has registered other bytes under the same name and
version, ours are not served, and the log says so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import nats.js.errors
import structlog
from nats.js.kv import KeyValue
from pydantic import ValidationError

from lorayard_schemas.adapter import AdapterRecord, record_key
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_workers.adapters.catalog import CatalogEntry
from lorayard_workers.memory.layout import padded_rank


async def register(
    bus: Bus, entries: Sequence[CatalogEntry], *, worker: str, base_digest: str
) -> tuple[CatalogEntry, ...]:
    """Register what is new; returns the entries that this worker may serve under their names.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    served: list[CatalogEntry] = []
    for entry in entries:
        try:
            record = _record(entry, worker=worker, base_digest=base_digest)
        except ValidationError as error:
            _refuse(entry, error)
            continue
        key = record_key(entry.name, entry.version)
        try:
            await bucket.create(key, encode(record))
            _log().info(Event.ADAPTER_REGISTERED, adapter=entry.name, version=entry.version)
        except nats.js.errors.KeyWrongLastSequenceError:
            if not await _agrees(bucket, key, record):
                continue
        served.append(entry)
    return tuple(served)


async def _agrees(bucket: KeyValue, key: str, ours: AdapterRecord) -> bool:
    """Whether the registered record stands for our bytes; what else it says of them is brought up to date."""
    entry = await bucket.get(key)
    try:
        known = decode(AdapterRecord, entry.value or b"")
    except MalformedMessageError as error:
        _log().error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
        return False
    if known.digest != ours.digest:
        _log().error(
            Event.ADAPTER_CONFLICTED,
            adapter=ours.name,
            version=ours.version,
            here=ours.digest,
            registered=known.digest,
            mend="give the changed adapter a version of its own",
        )
        return False
    if (known.base_digest, known.columns) != (ours.base_digest, ours.columns):
        # Only what it takes a base model to know: all else is its publisher's word.
        known = known.model_copy(update={"base_digest": ours.base_digest, "columns": ours.columns})
        with suppress(nats.js.errors.KeyWrongLastSequenceError):  # another worker did the same
            await bucket.update(key, encode(known), last=entry.revision)
    return True


def _refuse(entry: CatalogEntry, error: ValidationError) -> None:
    """A folder name that no job could ever ask for hides one adapter, never the worker."""
    first = error.errors(include_url=False)[0]
    _log().error(
        Event.ADAPTER_REFUSED,
        adapter=entry.name,
        version=entry.version,
        field=".".join(str(part) for part in first["loc"]),
        reason=first["msg"],
    )


def _log() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _record(entry: CatalogEntry, *, worker: str, base_digest: str) -> AdapterRecord:
    return AdapterRecord(
        name=entry.name,
        version=entry.version,
        digest=entry.digest,
        base_digest=base_digest,
        rank=entry.rank,
        columns=padded_rank(entry.rank),
        alpha=entry.alpha,
        targets=entry.targets,
        size_bytes=entry.size_bytes,
        prompt_template=entry.prompt_template,
        registered_at=time.time(),
        registered_by=worker,
    )
