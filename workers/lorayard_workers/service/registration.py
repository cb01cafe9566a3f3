"""Tell the yard which adapters this worker can serve: records in `yard_adapters`.

A version never changes its bytes: when another worker has registered other bytes under the same name and
version, ours are not served, and the log says so.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import nats.js.errors
import structlog
from nats.js.kv import KeyValue
from pydantic import ValidationError

from lorayard_schemas.adapter import AdapterRecord, record_key
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_workers.adapters.catalog import BrokenEntry, CatalogEntry
from lorayard_workers.memory.layout import padded_rank

CONFLICTED = "other bytes are registered under this version; give these a version of their own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What came of it."""

    served: tuple[CatalogEntry, ...]
    """These may be served under their names."""
    refused: tuple[BrokenEntry, ...]
    """And these not, until their records change."""


async def register(
    bus: Bus,
    entries: Sequence[CatalogEntry],
    *,
    worker: str,
    base_digest: str,
    told: Collection[BrokenEntry] = (),
) -> Registered:
    """Register what is new; what was `told` as refused is not told again for the same reason.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    served: list[CatalogEntry] = []
    refused: list[BrokenEntry] = []
    for entry in entries:
        try:
            record = _record(entry, worker=worker, base_digest=base_digest)
        except ValidationError as error:
            refused.append(_unnameable(entry, error, told))
            continue
        key = record_key(entry.name, entry.version)
        try:
            await bucket.create(key, encode(record))
            _log().info(Event.ADAPTER_REGISTERED, adapter=entry.name, version=entry.version)
        except nats.js.errors.KeyWrongLastSequenceError:
            trouble = await _trouble(bucket, entry, record, told)
            if trouble is not None:
                refused.append(trouble)
                continue
        served.append(entry)
    return Registered(served=tuple(served), refused=tuple(refused))


async def _trouble(
    bucket: KeyValue, here: CatalogEntry, ours: AdapterRecord, told: Collection[BrokenEntry]
) -> BrokenEntry | None:
    """Why the registered record does not stand for our bytes; where it does, what else it says of them is
    brought up to date."""
    key = record_key(ours.name, ours.version)
    try:
        entry = await bucket.get(key)
    except nats.js.errors.KeyNotFoundError:  # taken away meanwhile
        return _broken(here, "its record was removed as it was looked at")
    try:
        known = decode(AdapterRecord, entry.value or b"")
    except MalformedMessageError as error:
        trouble = _broken(here, f"its record cannot be read: {error.reason}")
        if trouble not in told:
            _log().error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
        return trouble
    if known.digest != ours.digest:
        trouble = _broken(here, CONFLICTED)
        if trouble not in told:
            _log().error(
                Event.ADAPTER_CONFLICTED,
                adapter=ours.name,
                version=ours.version,
                here=ours.digest,
                registered=known.digest,
                mend="give the changed adapter a version of its own",
            )
        return trouble
    if (known.base_digest, known.columns) != (ours.base_digest, ours.columns):
        # Only what it takes a base model to know: all else is its publisher's word.
        known = known.model_copy(update={"base_digest": ours.base_digest, "columns": ours.columns})
        with suppress(nats.js.errors.KeyWrongLastSequenceError):  # another worker did the same
            await bucket.update(key, encode(known), last=entry.revision)
    return None


def _unnameable(entry: CatalogEntry, error: ValidationError, told: Collection[BrokenEntry]) -> BrokenEntry:
    """A folder name that no job could ever ask for hides one adapter, never the worker."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    trouble = _broken(entry, f"{field}: {first['msg']}")
    if trouble not in told:
        _log().error(
            Event.ADAPTER_REFUSED,
            adapter=entry.name,
            version=entry.version,
            field=field,
            reason=first["msg"],
        )
    return trouble


def _broken(entry: CatalogEntry, reason: str) -> BrokenEntry:
    return BrokenEntry(name=entry.name, version=entry.version, path=entry.path, reason=reason)


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
