"""A version's files from the store into a folder: all of them, or nothing is seen of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lorayard.errors import InvalidRequestError
from lorayard.registry.extras import needing
from lorayard_schemas.adapter import AdapterRecord
from lorayard_shared.registry.blobs import BlobStore, OnBytes
from lorayard_shared.registry.errors import FileMissingError, VersionUnknownError


async def pull_version(
    store: BlobStore, record: AdapterRecord, folder: Path, *, on_size: OnBytes, on_bytes: OnBytes
) -> None:
    """Fetch into a hidden folder beside the place, check, then rename.

    What a pull leaves behind that was cut is taken up by the next one of the same version.

    Raises:
        VersionUnknownError: its files are not in the store.
        InvalidRequestError: something lies at the place.
        FileMissingError, AdapterRefusedError: the files are not what the record says.
    """
    if not record.in_store:
        raise VersionUnknownError(label=f"{record.label} in the store (workers have it on their own disks)")
    waiting = folder.parent / f".{folder.name}.{record.digest.partition(':')[2][:16]}.pulling"
    await asyncio.to_thread(_make_room, folder, waiting)
    on_size(sum(file.size_bytes for file in record.files))
    for file in record.files:
        await store.fetch(file, waiting / file.name, on_bytes=on_bytes)
    await asyncio.to_thread(_settle, record, waiting, folder)


def _make_room(folder: Path, waiting: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise InvalidRequestError(field="folder", reason=f"{folder} exists; name one that does not")
    waiting.mkdir(mode=0o700, parents=True, exist_ok=True)
    if waiting.is_symlink():
        raise InvalidRequestError(field="folder", reason=f"{waiting} is a link; remove it")


def _settle(record: AdapterRecord, waiting: Path, folder: Path) -> None:
    """Nothing in the folder but what belongs there, and its digest is the record's."""
    with needing("adapters", "checking what was pulled"):
        from lorayard_shared.adapters.folder_files import judge_folder

    wanted = {file.name for file in record.files}
    for other in waiting.iterdir():
        if other.name not in wanted:
            other.unlink()
    found = judge_folder(waiting, max_bytes=record.size_bytes).digest
    if found != record.digest:
        raise FileMissingError(
            file=record.label, sha256=record.digest, reason=f"its files make the adapter {found}"
        )
    for name in wanted:
        (waiting / name).chmod(0o644)
    waiting.chmod(0o755)
    waiting.rename(folder)  # over an empty folder too
