"""Takes files out of the store that no record needs any more, beside pushes that may count on their parts.

A push finds parts in the store, writes its record, and then looks once more whether all of them are there
(`Adapters.push`). A sweep removes an object, and then looks whether a record has come that names it, and puts
it back. So one of the two always sees the other: a record written before the sweep's look is seen by it, one
written after it belongs to a push whose own look is later than the removal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_schemas.blob import MAX_PART_BYTES
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.blobs import BlobStore, manifest_name, part_name
from lorayard_shared.registry.errors import FileMissingError
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.semantic_store import kept_files

ListRecords = Callable[[], Awaitable[Sequence[AdapterRecord]]]
"""Every record there is; raises where one cannot be read, for nobody knows then what it needs."""


class Sweeper:
    """One removal; every method raises `nats.errors.Error` where the bus does not answer."""

    def __init__(self, bus: Bus, list_records: ListRecords) -> None:
        self._bus = bus
        self._list_records = list_records
        self._store = BlobStore(bus)
        self._objects = Objects(bus, "blobs")
        self._parts: dict[str, tuple[str, ...]] = {}
        """Of files by digest: what stands in a manifest that this sweep has removed must be known on."""

    async def sweep(self, files: Sequence[StoredFile]) -> int:
        """Remove these files as far as no record needs them, after theirs was removed; the bytes freed."""
        wanted = dict.fromkeys([name for file in files for name in await self._objects_of(file)])
        seen, needed, freed = await self._last_change(), await self._needed(), 0
        for name in wanted:
            size = await self._objects.size(name)
            if name in needed or size is None:
                continue
            data = await self._objects.get(name, limit_bytes=MAX_PART_BYTES)
            await self._objects.remove(name)
            now = await self._last_change()
            if now != seen:
                seen, needed = now, await self._needed()
            if name in needed and data is not None:
                await self._objects.put(name, data)
                continue
            freed += size
        return freed

    async def _needed(self) -> frozenset[str]:
        """Objects that some record names, or a classifier that is kept."""
        records = await self._list_records()
        named = [*(file for record in records for file in record.files), *await kept_files(self._bus)]
        files = {file.sha256: file for file in named}
        return frozenset([name for file in files.values() for name in await self._objects_of(file)])

    async def _objects_of(self, file: StoredFile) -> list[str]:
        """The manifest first: a file that has one is whole."""
        return [manifest_name(file.sha256), *[part_name(part) for part in await self._parts_of(file)]]

    async def _parts_of(self, file: StoredFile) -> tuple[str, ...]:
        if file.sha256 not in self._parts:
            try:
                self._parts[file.sha256] = (await self._store.manifest(file)).parts
            except FileMissingError:
                return ()  # nobody can read that file: only a push that sends all of it mends it
        return self._parts[file.sha256]

    async def _last_change(self) -> int:
        """Of any record: grows with each."""
        buckets = (self._bus.subjects.bucket(kind) for kind in ("adapters", "rules"))
        found = [await self._bus.api(f"STREAM.INFO.KV_{bucket}") for bucket in buckets]
        return sum(int(info["state"]["last_seq"]) for info in found)
