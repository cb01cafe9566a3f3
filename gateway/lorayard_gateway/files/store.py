"""Files of tenants in the yard: their bytes in an object store, in parts, and a record of each in a bucket.

A file is written part by part, its record last, and read part by part, each checked by its digest; so no
more than a part of it is in memory. What a writer leaves that was cut has no record, and a sweep finds it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import nats.errors

from lorayard_gateway.files.errors import bytes_missing
from lorayard_gateway.record_bucket import RecordBucket
from lorayard_gateway.time_ids import new_id
from lorayard_schemas.file_record import MAX_PARTS, FilePurpose, FileRecord, file_key, part_object
from lorayard_schemas.names import key_token
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.inventory import purge_piece, take_inventory
from lorayard_shared.registry.objects import Objects

PART_BYTES = 2**20
"""In memory once for each transfer under way; two chunks of the store."""

PARTS_STORE = "file_parts"
ORPHAN_SECONDS = 7200.0
"""No upload takes half as long."""


def new_file_id() -> str:
    """Of a file that is to be written."""
    return new_id("file-")


class FileWriting:
    """One file on its way into the store. Whoever begins one either keeps or drops it."""

    def __init__(
        self,
        objects: Objects,
        records: RecordBucket[FileRecord],
        file_id: str,
        *,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._objects, self._records = objects, records
        self._part_bytes = part_bytes
        self._id, self._writing = file_id, secrets.token_hex(8)
        self._pending = bytearray()
        self._parts: list[str] = []
        self.size_bytes = 0
        self._recording = False
        """From then on its record may be there, whatever is heard of it."""

    async def add(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            StoreFullError: the store takes no more.
            nats.errors.Error: the bus did not take it.
        """
        self._pending += data
        self.size_bytes += len(data)
        while len(self._pending) >= self._part_bytes:
            part = bytes(self._pending[: self._part_bytes])
            del self._pending[: self._part_bytes]
            await self._put(part)

    async def keep(
        self, tenant: str, name: str, purpose: FilePurpose, *, keep_seconds: float | None
    ) -> FileRecord:
        """That was all: now it is a file.

        Raises:
            StoreFullError, nats.errors.Error: as `add`.
        """
        if self._pending:
            await self._put(bytes(self._pending))
            self._pending.clear()
        now = time.time()
        record = FileRecord(
            id=self._id,
            tenant=tenant,
            name=name,
            purpose=purpose,
            size_bytes=self.size_bytes,
            part_bytes=self._part_bytes,
            parts=tuple(self._parts),
            writing=self._writing,
            created_at=now,
            expires_at=None if keep_seconds is None else now + keep_seconds,
        )
        self._recording = True
        await self._records.create(file_key(tenant, self._id), record)
        return record

    async def drop(self) -> None:
        """It is not wanted: leave nothing behind, or let a sweep find it.

        Once its record is on its way nothing is taken: with the record it is a whole file, which a batch may
        end with, though nobody heard that it was written; without, a sweep finds the parts.
        """
        if self._recording:
            return
        with suppress(nats.errors.Error):
            for index in range(len(self._parts)):
                await self._objects.erase(part_object(self._id, self._writing, index))

    async def _put(self, part: bytes) -> None:
        index = len(self._parts)
        self._parts.append(hashlib.sha256(part).hexdigest())  # before: one that is cut is dropped, too
        await self._objects.put(part_object(self._id, self._writing, index), part)


class FileStore:
    """The files of all tenants; every method raises `nats.errors.Error` where the bus does not answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._objects = Objects(bus, PARTS_STORE)
        self._records = RecordBucket(bus, "files", FileRecord)

    def begin(self, file_id: str | None = None, *, size_bytes: int = 0) -> FileWriting:
        """Write a file; one whose size is known may have more bytes than `MAX_PARTS` usual parts."""
        part_bytes = max(PART_BYTES, -(-size_bytes // MAX_PARTS))
        return FileWriting(self._objects, self._records, file_id or new_file_id(), part_bytes=part_bytes)

    async def find(self, tenant: str, file_id: str) -> FileRecord | None:
        """One of a tenant's; None: there is none such, or no more."""
        found = await self._records.get(file_key(tenant, file_id))
        return None if found is None or found.value.is_over(time.time()) else found.value

    async def find_kept(self, tenant: str, file_id: str) -> FileRecord | None:
        """The same, though its time be over, as long as it is there: for a batch that reads it."""
        found = await self._records.get(file_key(tenant, file_id))
        return None if found is None else found.value

    async def list(self, tenant: str) -> list[FileRecord]:
        """All of a tenant's, in no order."""
        now = time.time()
        return [one for one in await self._records.list(f"{key_token(tenant)}.*") if not one.is_over(now)]

    async def part(self, record: FileRecord, index: int) -> bytes:
        """Some of its bytes.

        Raises:
            ApiError: they are gone, or others.
        """
        data = await self._objects.get(
            part_object(record.id, record.writing, index), limit_bytes=record.part_bytes
        )
        if data is None or hashlib.sha256(data).hexdigest() != record.parts[index]:
            raise bytes_missing(record.id)
        return data

    async def parts(self, record: FileRecord) -> AsyncGenerator[bytes]:
        """All of them, in their order.

        Raises:
            ApiError: as `part`.
        """
        for index in range(len(record.parts)):
            yield await self.part(record, index)

    async def forget(self, record: FileRecord) -> None:
        """There is no such file any more; `remove_parts` has its bytes go."""
        await self._records.delete(file_key(record.tenant, record.id))

    async def remove_parts(self, record: FileRecord) -> None:
        """Give the room back; what is left of it by a cut is swept."""
        for index in range(len(record.parts)):
            await self._objects.erase(part_object(record.id, record.writing, index))

    async def sweep(
        self,
        is_read: Callable[[str], object] = lambda _: None,
        *,
        older_than_seconds: float = ORPHAN_SECONDS,
    ) -> int:
        """Take away files that are over, and parts that no record names; returns the bytes.

        What `is_read` by a batch, by its file id, stays until that has ended. What is younger, by the
        server's clock, may belong to an upload that is under way.
        """
        now, freed = time.time(), 0
        for record in await self._records.list(">"):
            if record.is_over(now) and not is_read(record.id):
                await self.forget(record)
                await self.remove_parts(record)
                freed += record.size_bytes
        found = await take_inventory(self._bus, PARTS_STORE)
        # Behind it: what became a file meanwhile is known.
        known = {(one.id, one.writing) for one in await self._records.list(">")}
        for one in found.objects:
            file_id, _, rest = one.name.partition("/")
            if one.at < found.at - older_than_seconds and (file_id, rest.partition("/")[0]) not in known:
                await self._objects.erase(one.name)
                freed += one.size_bytes
            await asyncio.sleep(0)
        for piece in found.pieces:
            if piece.at < found.at - older_than_seconds:
                await purge_piece(self._bus, piece, PARTS_STORE)
                freed += piece.size_bytes
        return freed
