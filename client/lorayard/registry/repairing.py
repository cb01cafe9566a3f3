"""Stored files that are missing or damaged, put right from a folder here that has the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorayard.registry.extras import needing
from lorayard.registry.verifying import VersionCheck, check_versions
from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_shared.adapters.errors import AdapterRefusedError, no_folder
from lorayard_shared.registry.blobs import BlobStore, FileBytes, OnBytes, unheard


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What a repair did."""

    checks: tuple[VersionCheck, ...]
    """Every version, as it is now."""
    mended: tuple[StoredFile, ...]
    sent_bytes: int

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong any more."""
        return all(check.sound for check in self.checks)


async def repair_versions(
    store: BlobStore, records: Sequence[AdapterRecord], folder: Path, *, on_size: OnBytes, on_bytes: OnBytes
) -> RepairReport:
    """Check versions, and mend each file that is not as its record says and lies in the folder as it says.

    Raises:
        AdapterRefusedError: there is no such folder.
        StoreFullError: what was mended until then stays.
    """
    if not await asyncio.to_thread(folder.is_dir):
        raise no_folder(folder)
    checks = await check_versions(store, records, on_size=on_size, on_bytes=on_bytes)
    faulty = {one.file.sha256: one.file for check in checks for one in check.files if one.fault}
    mended, sent = list[StoredFile](), 0
    for file in faulty.values():
        found = await asyncio.to_thread(_same_file, folder, file)
        if found is not None:
            sent += await store.mend(found)
            mended.append(file)
    if mended:
        again = [check.record for check in checks if not check.sound]
        rechecked = await check_versions(store, again, on_size=unheard, on_bytes=unheard)
        known = {check.record.label: check for check in rechecked}
        checks = [known.get(check.record.label, check) for check in checks]
    return RepairReport(checks=tuple(checks), mended=tuple(mended), sent_bytes=sent)


def _same_file(folder: Path, wanted: StoredFile) -> FileBytes | None:
    """The folder's file of that name, if it has the bytes that the record tells of."""
    # Late: numpy comes with `lorayard[adapters]`.
    with needing("adapters", "mending from a folder"):
        from lorayard_shared.adapters.plain_file import read_plain_file

    try:
        data = read_plain_file(folder, wanted.name, wanted.size_bytes)
    except (FileNotFoundError, AdapterRefusedError):
        return None  # none, or another one
    same = hashlib.sha256(data).hexdigest() == wanted.sha256
    return FileBytes(name=wanted.name, data=data) if same else None
