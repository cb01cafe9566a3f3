"""The folder in which one gateway runs its batches. What a killed one left is removed by the next."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
from contextlib import suppress
from pathlib import Path

LOCK = "lock"


class WorkFolder:
    """Ours as long as it is open. Every method may raise OSError, and none is for an event loop."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._path = parent / f"gateway-{secrets.token_hex(8)}"
        self._lock: int | None = None
        self._opening = threading.Lock()
        """Several batches may begin at once, each in a thread."""

    def batch(self, batch_id: str) -> Path:
        """An empty folder for one run of a batch."""
        with self._opening:
            if self._lock is None or not self._path.is_dir():
                self._open()
        path = self._path / batch_id
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        return path

    def drop(self, path: Path) -> None:
        """A run is over."""
        shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove it all."""
        if self._lock is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _open(self) -> None:
        if self._lock is not None:  # whoever tidies up caches has removed it under us
            os.close(self._lock)
            self._lock = None
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._parent.glob("gateway-*"):
            with suppress(OSError):
                _remove_unlocked(left)
        self._path.mkdir(mode=0o700, exist_ok=True)  # a full disk may have kept its lock away
        lock = os.open(self._path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._lock = lock


def _remove_unlocked(folder: Path) -> None:
    """Remove the folder of a gateway that lives no more. One that is just being made has no lock yet."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
