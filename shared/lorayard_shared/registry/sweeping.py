"""Takes files out of the store that no record needs any more, beside pushes that may count on their parts.

A push finds parts in the store, writes its record, and then looks once more whether all of them are there
(`Adapters.push`). A sweep removes an object, and then looks whether a record has come that names it, and puts
it back. So one of the two always sees the other: a record written before the sweep's look is seen by it, one
written after it belongs to a push whose own look is later than the removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorayard_schemas.adapter import StoredFile
from lorayard_schemas.blob import MAX_PART_BYTES
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.blobs import BlobStore, manifest_name, part_name
from lorayard_shared.registry.errors import FileMissingError
from lorayard_shared.registry.inventory import purge_piece, take_inventory
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.references import ListRecords, last_reference, referenced_files

ORPHAN_SECONDS = 3600.0
"""Longer than a push stands still between a part and the next, and comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanReport:
    """What lay in the store for nobody, and is gone, or would be."""

    objects: tuple[str, ...]
    """Parts and lists of parts."""
    pieces: int
    """Of parts that were never stored whole."""
    freed_bytes: int
    young: int
    """Left, as they are too young."""


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
        return await self._remove(
            dict.fromkeys([name for file in files for name in await self._objects_of(file)])
        )

    async def sweep_orphans(self, *, older_than_seconds: float, dry_run: bool) -> OrphanReport:
        """Remove parts and lists that nothing needs, and pieces of parts that never became whole.

        What is younger, by the server's clock, may belong to a push that is under way; one that takes longer
        sends again what it lacks at its end. Objects of other names are somebody else's.

        Raises:
            FileMissingError: a file that something names has no list of its parts, so nobody knows which.
        """
        for file in await referenced_files(self._bus, self._list_records):
            self._parts[file.sha256] = (await self._store.manifest(file)).parts
        needed, found = await self._needed(), await take_inventory(self._bus)
        old = found.at - older_than_seconds
        unneeded = [one for one in found.objects if _is_ours(one.name) and one.name not in needed]
        orphans = [one for one in unneeded if one.at < old]
        pieces = [one for one in found.pieces if one.at < old]
        freed = sum(one.size_bytes for one in orphans) + sum(one.size_bytes for one in pieces)
        if not dry_run:
            freed = await self._remove([one.name for one in orphans])
            for piece in pieces:
                await purge_piece(self._bus, piece)
                freed += piece.size_bytes
        return OrphanReport(
            objects=tuple(one.name for one in orphans),
            pieces=len(pieces),
            freed_bytes=freed,
            young=len(unneeded) - len(orphans) + len(found.pieces) - len(pieces),
        )

    async def _remove(self, wanted: Iterable[str]) -> int:
        """Remove objects that nothing needs; the bytes freed."""
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
        """Objects of files that anything names."""
        files = {file.sha256: file for file in await referenced_files(self._bus, self._list_records)}
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
        return await last_reference(self._bus)


def _is_ours(name: str) -> bool:
    return name.startswith((part_name(""), manifest_name("")))
