"""Which files a path stands for, and their text: one at a time, never a folder at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

SUFFIXES: Final = frozenset({".txt", ".text", ".md", ".markdown", ".mdown", ".rst", ".adoc", ".org", ".log"})
"""What counts as text in a folder; a file named outright is read whatever its name."""

MAX_FILE_BYTES: Final = 64 * 2**20
"""No longer prompt can travel."""


class UnreadableFileError(Exception):
    """A file that gives no text; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file to read, as it was named."""

    path: Path
    problem: str | None = None
    """Known before reading: it does not exist."""


def find_files(paths: Iterable[Path]) -> Iterator[FoundFile]:
    """Every file the paths stand for, folders in order of names; hidden files and folders are left out.

    A file that two paths stand for comes once.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        for found in _expand(path):
            key = _identity(found.path)
            if key is None or key not in seen:
                if key is not None:
                    seen.add(key)
                yield found


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        UnreadableFileError: no text in it, or none that can be read.
    """
    try:
        found = path.stat()
        if not S_ISREG(found.st_mode):
            raise UnreadableFileError("not a regular file")
        if found.st_size > MAX_FILE_BYTES:
            raise UnreadableFileError(f"{found.st_size} bytes, at most {MAX_FILE_BYTES} are read")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(error.strerror or type(error).__name__) from error
    return _decode(data)


def _decode(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"not {encoding.removesuffix('-sig').upper()} text") from error
    if "\0" in text:
        raise UnreadableFileError("not text: it has zero bytes")
    if not text.strip():
        raise UnreadableFileError("empty")
    return text


def _expand(path: Path) -> Iterator[FoundFile]:
    if path.is_dir():
        yield from _walk(path)
    elif not os.path.lexists(path):
        yield FoundFile(path=path, problem="no such file or folder")
    else:
        yield FoundFile(path=path)


def _walk(folder: Path) -> Iterator[FoundFile]:
    failures: list[OSError] = []
    # Links to folders are not followed: they may lead round in a circle.
    for parent, folders, names in os.walk(folder, onerror=failures.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield FoundFile(path=Path(parent) / name)
        while failures:
            error = failures.pop()
            yield FoundFile(path=Path(error.filename), problem=error.strerror or "cannot be listed")
    for error in failures:
        yield FoundFile(path=Path(error.filename), problem=error.strerror or "cannot be listed")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
