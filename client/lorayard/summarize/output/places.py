"""A place that is written to: held by one run at a time, and replaced as a whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from lorayard.summarize.errors import OutputError, OutputInUseError


@contextmanager
def held(place: Path) -> Generator[None]:
    """Hold a file or folder that is to be written, which need not be there yet, and prove that it can be.

    The kernel lets go of it when this process dies.

    Raises:
        OutputInUseError: another process holds it.
        OutputError: its folder cannot be written.
    """
    lock = place.parent / f".{place.name}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(lock, place)
    except OSError as error:
        raise OutputError(place, error.strerror or str(error)) from error
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(file)


def _locked(lock: Path, place: Path) -> int:
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before has removed the file: another may hold a new one by now.
            if os.fstat(file).st_ino == _inode(lock):
                return file
        except BlockingIOError as error:
            os.close(file)
            raise OutputInUseError(place) from error
        os.close(file)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


@contextmanager
def replacing(place: Path) -> Generator[TextIO]:
    """A text to write to, which takes the place of the file when all is well, and is gone when not.

    Raises:
        OutputError: the disk does not take it.
    """
    partial = place.parent / f".{place.name}.partial"
    try:
        # Whatever stands there, a link that leads elsewhere too, is replaced and never written through.
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(partial, flags, 0o666), "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # a descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(place)
    except OSError as error:
        raise OutputError(place, error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
