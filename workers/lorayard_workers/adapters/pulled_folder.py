"""Adapters that workers have fetched from the store, on this machine's disk: a folder for each, by digest.

Several workers may share the root. A lock of the operating system on a file beside each folder says who uses
it (shared) and who fills or removes it (exclusive); it ends with its process, so one that dies half way
leaves nothing locked, and the next worker goes on with what it had fetched.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.errors import CapacityError

_log = structlog.stdlib.get_logger(__name__)

INCOMING = ".incoming"
"""End of the name of a folder that is being filled."""
LOCK = ".lock"
RESERVED = ".reserved"
"""In a folder that is being filled: how many bytes it will have."""
ROOM_LOCK = "room.lock"

STALE_SECONDS = 86_400
"""What a worker that died has left half fetched is kept for a day: its jobs may come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to fill one folder, until it is settled or given up."""

    digest: str
    handle: int
    incoming: Path


@dataclass(slots=True)
class PulledFolder:
    """See the module docstring. Safe from any thread; nothing waits for another process but `make_room`."""

    root: Path
    budget_bytes: int
    _holds: dict[str, int] = field(default_factory=dict[str, int])
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def place(self, digest: str) -> Path:
        """Where an adapter lies, or would."""
        return self.root / digest.replace(":", "-")

    def hold(self, digest: str) -> bool:
        """Use an adapter: nobody removes it until it is released. False: it is not here, or just going."""
        with self._guard:
            if digest in self._holds:
                return True
            if not self.place(digest).is_dir():
                return False
            handle = _lock(self._lock_of(digest), fcntl.LOCK_SH)
            if handle is None:
                return False
            if not self.place(digest).is_dir():  # gone between the two
                os.close(handle)
                return False
            self._holds[digest] = handle
            os.utime(self._lock_of(digest))
            return True

    def release(self, digests: Iterable[str]) -> None:
        """They are not used any more, and may make way for others."""
        with self._guard:
            for digest in digests:
                handle = self._holds.pop(digest, None)
                if handle is not None:
                    os.close(handle)

    @property
    def held(self) -> frozenset[str]:
        """What this process uses."""
        with self._guard:
            return frozenset(self._holds)

    def claim(self, digest: str) -> Claim | None:
        """The right to fill an adapter's folder; None while another has it, or somebody uses the adapter.

        Raises:
            OSError: the folder cannot be made.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = _lock(self._lock_of(digest), fcntl.LOCK_EX)
        if handle is None:
            return None
        return Claim(digest=digest, handle=handle, incoming=self._incoming(digest))

    def make_room(self, claim: Claim, size_bytes: int) -> None:
        """Reserve the bytes; those that nobody uses make way: half fetched ones, then the longest unused.

        Raises:
            CapacityError: what is in use leaves no room.
            OSError: the disk does not take it.
        """
        with self._room_lock():
            others = self.used_bytes() - _reserved(claim.incoming)
            if others + size_bytes > self.budget_bytes:
                others = self._evict(claim, others, self.budget_bytes - size_bytes)
            if others + size_bytes > self.budget_bytes:
                raise CapacityError(
                    f"adapter {claim.digest} beside {others} bytes in use (disk)",
                    needed=size_bytes,
                    limit=self.budget_bytes,
                    setting="pulled_bytes",
                )
            claim.incoming.mkdir(mode=0o700, exist_ok=True)
            (claim.incoming / RESERVED).write_text(str(size_bytes))

    def settle(self, claim: Claim, names: Iterable[str]) -> bool:
        """The folder is filled and judged: it shows from now on, and this process holds it.

        False: another process removed it just then.
        """
        wanted = frozenset(names)
        for other in claim.incoming.iterdir():
            if other.name not in wanted:
                other.unlink()
        claim.incoming.rename(self.place(claim.digest))
        self.give_up(claim)
        return self.hold(claim.digest)

    def give_up(self, claim: Claim) -> None:
        """Fill it no more. What is there stays for the next try."""
        os.close(claim.handle)

    def clear(self, claim: Claim) -> None:
        """What was fetched is of no use."""
        shutil.rmtree(claim.incoming, ignore_errors=True)

    def clean(self, now: float) -> None:
        """Remove what was half fetched long ago by nobody who lives."""
        for folder in self._folders(INCOMING):
            with suppress(OSError):
                if now - folder.stat().st_mtime > STALE_SECONDS:
                    self._remove(folder)

    def used_bytes(self) -> int:
        """Of all that is here, or will be."""
        there = sum(_size(folder) for folder in self._folders())
        return there + sum(_reserved(folder) for folder in self._folders(INCOMING))

    def _evict(self, claim: Claim, others: int, limit_bytes: int) -> int:
        """Remove until no more than that is left; returns what is."""
        half = [folder for folder in self._folders(INCOMING) if folder != claim.incoming]
        whole = sorted(self._folders(), key=self._last_used)
        for folder in (*half, *whole):
            if others <= limit_bytes:
                break
            size = _reserved(folder) if folder.name.endswith(INCOMING) else _size(folder)
            if self._remove(folder):
                others -= size
        return others

    def _remove(self, folder: Path) -> bool:
        """Unless somebody uses or fills it."""
        lock = self.root / (folder.name.removesuffix(INCOMING) + LOCK)
        handle = _lock(lock, fcntl.LOCK_EX)
        if handle is None:
            return False
        try:
            shutil.rmtree(folder)
            lock.unlink(missing_ok=True)
        except OSError as error:
            _log.warning(Event.ADAPTER_NOT_REMOVED, path=str(folder), reason=str(error))
            return False
        finally:
            os.close(handle)
        _log.info(Event.ADAPTER_EVICTED_FROM_DISK, path=str(folder))
        return True

    def _folders(self, end: str = "") -> list[Path]:
        try:
            found = sorted(path for path in self.root.iterdir() if path.is_dir() and not path.is_symlink())
        except OSError:
            return []
        return [path for path in found if path.name.endswith(INCOMING) == bool(end)]

    def _last_used(self, folder: Path) -> float:
        try:
            return (self.root / (folder.name + LOCK)).stat().st_mtime
        except OSError:
            return 0.0

    def _lock_of(self, digest: str) -> Path:
        return self.root / (self.place(digest).name + LOCK)

    def _incoming(self, digest: str) -> Path:
        return self.root / (self.place(digest).name + INCOMING)

    @contextmanager
    def _room_lock(self) -> Generator[None]:
        """Who counts and who reserves is one at a time, for as long as a removal takes."""
        handle = os.open(self.root / ROOM_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _lock(path: Path, kind: int) -> int | None:
    """A handle that has the lock until it is closed; None: another has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the file was removed between the two: lock the one that is there now


def _size(folder: Path) -> int:
    total = 0
    with suppress(OSError):
        total = sum(file.stat().st_size for file in folder.iterdir())
    return total


def _reserved(incoming: Path) -> int:
    try:
        return max(_size(incoming), int((incoming / RESERVED).read_text()))
    except (OSError, ValueError):
        return _size(incoming)
