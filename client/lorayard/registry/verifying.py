"""Whether the store still has what records say: every file is read, and compared with its digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.registry.blobs import BlobStore, OnBytes
from lorayard_shared.registry.errors import FileMissingError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One file of a version or of a classifier."""

    file: StoredFile
    fault: str | None
    """What is wrong; None: the store has it as the record says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCheck:
    """One version."""

    record: AdapterRecord
    files: tuple[FileCheck, ...]
    """None: workers have it on their own disks, and the store has nothing of it."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with it."""
        return all(checked.fault is None for checked in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierCheck:
    """One revision of the classifier that is in force or may be returned to."""

    record: SemanticRecord
    files: tuple[FileCheck, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with it."""
        return all(checked.fault is None for checked in self.files)


async def check_classifiers(
    store: BlobStore, records: Sequence[SemanticRecord], *, on_size: OnBytes, on_bytes: OnBytes
) -> list[ClassifierCheck]:
    """The same of the classifier's revisions; an encoder that several have is read once."""
    files = await _check(store, [record.files for record in records], on_size, on_bytes)
    return [ClassifierCheck(record=record, files=one) for record, one in zip(records, files, strict=True)]


async def check_versions(
    store: BlobStore, records: Sequence[AdapterRecord], *, on_size: OnBytes, on_bytes: OnBytes
) -> list[VersionCheck]:
    """Read what the records name; a file that several have is read once."""
    files = await _check(store, [record.files for record in records], on_size, on_bytes)
    return [VersionCheck(record=record, files=one) for record, one in zip(records, files, strict=True)]


async def _check(
    store: BlobStore, named: Sequence[tuple[StoredFile, ...]], on_size: OnBytes, on_bytes: OnBytes
) -> list[tuple[FileCheck, ...]]:
    wanted = {(file.sha256, file.size_bytes): file for files in named for file in files}
    on_size(sum(file.size_bytes for file in wanted.values()))
    faults = {key: await _fault(store, file, on_bytes) for key, file in wanted.items()}
    return [
        tuple(FileCheck(file=file, fault=faults[file.sha256, file.size_bytes]) for file in files)
        for files in named
    ]


async def _fault(store: BlobStore, file: StoredFile, on_bytes: OnBytes) -> str | None:
    seen = 0

    def count(size_bytes: int) -> None:
        nonlocal seen
        seen += size_bytes
        on_bytes(size_bytes)

    try:
        await store.check(file, on_bytes=count)
    except FileMissingError as error:
        on_bytes(file.size_bytes - seen)  # the rest is done with, too
        return error.reason
    return None
