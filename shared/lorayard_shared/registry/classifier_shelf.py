"""Classifiers that were fetched from the store, on this machine's disk: a folder for each, by digest.

Processes may share the root. A folder shows under its name when it is whole; what is read from it is checked
against its digest each time, so nobody has to believe another.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.errors import YardError
from lorayard_shared.registry.blobs import BlobStore
from lorayard_shared.registry.errors import FROM_EXAMPLES, FileMissingError

KEPT = 4
"""Folders: to return to the one before fetches nothing."""

MAX_BYTES = 512 * 2**20
"""Of one classifier: an encoder's table is the most of it, and is made to be small."""

INCOMING = ".incoming-"
STALE_SECONDS = 3600.0
"""What a process that died has left half fetched."""


class ClassifierUnusableError(YardError):
    """The classifier in force cannot be had here; the reason says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClassifierShelf:
    """Fetches what is missing."""

    def __init__(self, bus: Bus, root: Path) -> None:
        self._store = BlobStore(bus)
        self._root = root

    async def fetch(self, record: SemanticRecord) -> Path:
        """A folder with the files of a classifier.

        Raises:
            ClassifierUnusableError: it is too large, or the folder cannot be written.
            FileMissingError: the store lacks a file.
            nats.errors.Error: no answer.
        """
        assert record.artifact is not None, "the caller has looked"
        total = sum(file.size_bytes for file in record.files)
        if total > MAX_BYTES:
            raise ClassifierUnusableError(f"the classifier has {total} bytes, at most {MAX_BYTES} are taken")
        place = self._root / record.artifact.replace(":", "-")
        try:
            if await asyncio.to_thread(_is_whole, place, record):
                return place
            await self._fill(place, record)
        except OSError as error:
            reason = (
                f"{self._root} cannot be written ({error.strerror or error}); set LORAYARD_CLASSIFIERS_DIR"
            )
            raise ClassifierUnusableError(reason) from error
        return place

    async def _fill(self, place: Path, record: SemanticRecord) -> None:
        incoming = await asyncio.to_thread(_incoming, self._root)
        try:
            for file in record.files:
                await self._store.fetch(file, incoming / file.name)
            await asyncio.to_thread(_settle, incoming, place)
        except FileMissingError as error:
            raise FileMissingError(
                file=error.file, sha256=error.sha256, reason=error.reason, remedy=FROM_EXAMPLES
            ) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)

    async def forget(self, record: SemanticRecord) -> None:
        """Its folder is of no use: it is fetched anew the next time."""
        assert record.artifact is not None, "it was fetched"
        place = self._root / record.artifact.replace(":", "-")
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _is_whole(place: Path, record: SemanticRecord) -> bool:
    """By sizes: whoever loads it compares the digest."""
    try:
        found = {entry.name: entry.stat().st_size for entry in place.iterdir()}
        os.utime(place)
    except OSError:
        return False
    return found == {file.name: file.size_bytes for file in record.files}


def _incoming(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Path(tempfile.mkdtemp(prefix=INCOMING, dir=root))


def _settle(incoming: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    try:
        incoming.rename(place)
    except OSError:
        if not place.is_dir():  # else another process was first
            raise
    _tidy(place.parent)


def _tidy(root: Path) -> None:
    """Keep the last used ones, and nothing half fetched."""
    whole: list[tuple[float, Path]] = []
    for folder in root.iterdir():
        with suppress(OSError):
            changed = folder.stat().st_mtime
            if not folder.name.startswith(INCOMING):
                whole.append((changed, folder))
            elif time.time() - changed > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
    for _, folder in sorted(whole)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
