"""What a yard has: adapters, live workers, and how much work waits where."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import nats.errors
import nats.js.errors
from nats.js.kv import KeyValue

from lorayard.answering import Answering
from lorayard.errors import UnreadableRecordError, YardNotReadyError
from lorayard.link import Link
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message
from lorayard_schemas.names import version_order
from lorayard_schemas.placement import Placement
from lorayard_schemas.subjects import BadSubjectError, JobAddress
from lorayard_shared.bus.connection import ApiError, JsonMap
from lorayard_shared.bus.listing import list_bucket

M = TypeVar("M", bound=Message)

_STREAM_NOT_FOUND = 10059


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """Jobs that have no result yet, those a worker holds included."""

    unfinished: dict[JobAddress, int]
    """By lane, tenant and adapter; adapter None is left to the yard."""
    delayed: int
    """Waiting for their time: scheduled, or to be tried again."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.unfinished.values()) + self.delayed


async def list_adapters(link: Link) -> list[AdapterRecord]:
    """Every registered adapter version, by name."""
    records = await _list(link, "adapters", AdapterRecord)
    return sorted(records, key=lambda record: (record.name, version_order(record.version)))


async def list_workers(link: Link) -> list[WorkerAdvert]:
    """The last advert of every worker that is alive."""
    adverts = await _list(link, "workers", WorkerAdvert)
    return sorted(adverts, key=lambda advert: advert.worker)


async def list_placements(link: Link) -> list[Placement]:
    """Every declaration of where an adapter shall be."""
    return await _list(link, "placements", Placement)


async def measure_queue(link: Link) -> QueueDepth:
    """How much waits where, counted by the server."""
    subjects = link.bus.subjects
    ready = await _counts(link, "jobs", subjects.jobs)
    due = await _counts(link, "delayed", subjects.due)
    delayed = await _counts(link, "delayed", subjects.delayed)
    unfinished: Counter[JobAddress] = Counter()
    for subject, count in (*ready.items(), *due.items()):
        with suppress(BadSubjectError):  # no job of anybody: whoever takes it from the stream says so
            unfinished[subjects.parse_job(subject)] += count
    return QueueDepth(unfinished=dict(unfinished), delayed=sum(delayed.values()))


async def _list(link: Link, kind: str, message: type[M]) -> list[M]:
    name = link.bus.subjects.bucket(kind)
    async with Answering(link):
        try:
            bucket = await link.bus.js.key_value(name)
            return [_read(name, entry, message) for entry in await _entries(bucket)]
        except nats.js.errors.NotFoundError as error:
            raise YardNotReadyError(prefix=link.bus.subjects.prefix, missing=f"bucket {name}") from error


async def _entries(bucket: KeyValue) -> list[KeyValue.Entry]:
    # No value: deleted, or the server's own marker of an expiry, a dead worker.
    return [entry for entry in await list_bucket(bucket) if entry.operation is None and entry.value]


def _read(bucket: str, entry: KeyValue.Entry, message: type[M]) -> M:
    try:
        return decode(message, entry.value or b"")
    except MalformedMessageError as error:
        raise UnreadableRecordError(place=f"key {entry.key} of bucket {bucket}", reason=str(error)) from error


async def _counts(link: Link, kind: str, subject: str) -> dict[str, int]:
    stream = link.bus.subjects.stream(kind)
    counts: dict[str, int] = {}
    while True:
        body = {"subjects_filter": subject, "offset": len(counts)}
        async with Answering(link):
            info = await _info(link, stream, body)
        page: dict[str, int] = info["state"].get("subjects") or {}
        counts.update(page)
        # The server pages at 100,000 subjects.
        if not page or len(counts) >= int(info.get("total", 0)):
            return counts


async def _info(link: Link, stream: str, body: JsonMap) -> JsonMap:
    try:
        return await link.bus.api(f"STREAM.INFO.{stream}", body)
    except (ApiError, nats.errors.NoRespondersError) as error:
        if isinstance(error, ApiError) and error.code != _STREAM_NOT_FOUND:
            raise
        raise YardNotReadyError(prefix=link.bus.subjects.prefix, missing=f"stream {stream}") from error
