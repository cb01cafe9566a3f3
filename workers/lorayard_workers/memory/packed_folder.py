"""The disk tier: packed adapters of one folder up to a byte budget, the longest unused leave first.

Several processes may share a folder, also with other models or settings: a file's name says what it is for,
and files are only ever added by rename and removed. Files of other names are somebody else's:
they are neither counted nor touched. Nothing here is needed to answer a request: whatever fails is logged,
and the adapter is packed from its source again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import torch
from filelock import FileLock

from lorayard_shared.logs import Event
from lorayard_workers.errors import CapacityError, PackedFileError
from lorayard_workers.memory.eviction import Candidate, Usage, choose_victims
from lorayard_workers.memory.layout import RANK_PAGE, GroupLayout
from lorayard_workers.memory.packed_file import (
    FORMAT,
    FileState,
    compose_packed,
    is_unfinished,
    open_packed,
)
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.quantized import Storage

_log = structlog.stdlib.get_logger(__name__)

LOCK_SECONDS = 2.0
"""Another process writes one file in a few milliseconds; behind a stuck one we go without."""
LOCK_NAME = ".packed-adapters.lock"
"""A name that nobody else uses: locking empties the file."""
_SUFFIX = ".safetensors"
_OURS = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}\.safetensors")
_FOR_ME_ALONE = 0o700
_HEX = re.compile(r"[0-9a-f]{64}")


def prepare_folder(path: Path) -> None:
    """Make the folder, for this user alone, and see that it takes files. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True, mode=_FOR_ME_ALONE)
    with tempfile.TemporaryFile(dir=path):
        pass


def owner_of(base_digest: str, layouts: Sequence[GroupLayout], dtype: torch.dtype, storage: Storage) -> str:
    """What a packed adapter depends on besides itself: model, grouping, types, form. Hex."""
    groups = [[layout.members, layout.in_features, layout.out_features] for layout in layouts]
    text = json.dumps([FORMAT, base_digest, groups, RANK_PAGE, str(dtype), storage])
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True, kw_only=True)
class PackedFolder:
    """See the module docstring. Safe from any thread."""

    path: Path
    budget_bytes: int
    owner: str
    _verified: dict[str, FileState] = field(default_factory=dict[str, FileState])

    def get(self, digest: str) -> HostAdapter | None:
        """The adapter, counted as used; None if it has no sound file here. A bad file is removed."""
        path = self.file_of(digest)
        try:
            adapter, state = open_packed(path, digest, self.owner, verified=self._verified.get(digest))
        except FileNotFoundError:
            return None
        except PackedFileError as error:
            _log.warning(Event.PACKED_FILE_REFUSED, digest=digest, path=str(path), reason=error.reason)
            self._remove(path)
            return None
        except OSError as error:
            _log.warning(Event.PACKED_FILE_UNREADABLE, digest=digest, path=str(path), reason=str(error))
            return None
        self._verified[digest] = state
        _touch(path)
        return adapter

    def put(self, adapter: HostAdapter) -> None:
        """Keep the adapter unless it is here already; others leave as the budget demands."""
        path = self.file_of(adapter.digest)
        if path.exists():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=_FOR_ME_ALONE)  # removed while we run
            packed = compose_packed(adapter, self.owner)
            with FileLock(self.path / LOCK_NAME, timeout=LOCK_SECONDS):
                if path.exists():  # another process was first
                    return
                self._make_room(packed.size_bytes)
                packed.write(path)
            _touch(path)
        except (OSError, TypeError, CapacityError) as error:  # a lock that stays taken is an OSError too
            _log.warning(Event.PACKED_FILE_NOT_KEPT, digest=adapter.digest, reason=str(error))

    def used_bytes(self) -> int:
        """Bytes of all packed files in the folder, whoever wrote them."""
        return sum(candidate.size for candidate in self._candidates())

    def file_of(self, digest: str) -> Path:
        """Where the adapter's file lies, if it has one."""
        return self.path / f"{_safe_name(digest)}-{self.owner[:16]}{_SUFFIX}"

    def _make_room(self, size_bytes: int) -> None:
        """Only under the lock: what is unfinished now belongs to a process that has died."""
        for file in self.path.iterdir():
            if is_unfinished(file.name) and stat.S_ISREG(file.lstat().st_mode):
                self._remove(file)
        if size_bytes > self.budget_bytes:
            raise CapacityError(
                "a packed adapter (bytes)", needed=size_bytes, limit=self.budget_bytes, setting="disk_bytes"
            )
        candidates = self._candidates()
        excess = sum(candidate.size for candidate in candidates) + size_bytes - self.budget_bytes
        victims = choose_victims(candidates, max(0, excess))
        assert victims is not None  # no file is pinned: what was read from one stays
        for name in victims:
            (self.path / name).unlink(missing_ok=True)

    def _candidates(self) -> list[Candidate]:
        """All packed files, last used when their access time says: only we set it."""
        found: list[Candidate] = []
        for file in self.path.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):  # another process was faster
                status = file.lstat()
                if _OURS.fullmatch(file.name) and stat.S_ISREG(status.st_mode):
                    usage = Usage(weight=1.0, last_used=status.st_atime_ns / 1e9)
                    found.append(Candidate(key=file.name, usage=usage, size=status.st_size))
        return found

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning(Event.PACKED_FILE_NOT_REMOVED, path=str(path), reason=str(error))


def _touch(path: Path) -> None:
    """Count the file as used now. By our clock: the kernel's stamps lag behind it by up to 4 ms."""
    with suppress(OSError):  # evicted by another process: what was read stays
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _safe_name(digest: str) -> str:
    """The hexadecimal part of a digest: it becomes a file's name, so anything else must not."""
    name = digest.removeprefix("sha256:")
    return name if _HEX.fullmatch(name) else hashlib.sha256(digest.encode()).hexdigest()
