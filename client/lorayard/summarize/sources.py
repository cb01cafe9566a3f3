"""Which documents a path stands for: a file, a folder or a pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Final

from lorayard.summarize.kinds import looks_like_a_document
from lorayard.summarize.reading.text_file import is_text

_MAGIC: Final = frozenset("*?[")


class Wanted(StrEnum):
    """Which files of a folder are read; hidden ones never are."""

    DOCUMENTS = "documents"
    """Those whose names look like it."""
    TEXT = "text"
    """Those, and whatever else begins like a text: manual pages, logs, sources."""
    ALL = "all"
    """Every one, so that what cannot be read is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document to read."""

    path: Path
    """As it was named or found."""
    name: PurePath
    """Where it stands below what was named, with the folder's own name: `docs/guide/start.md`."""
    problem: str | None = None
    """Known before reading: it does not exist, or cannot be listed."""


def find_sources(paths: Iterable[Path], *, wanted: Wanted = Wanted.TEXT) -> Iterator[Source]:
    """Every document the paths stand for, in order of names; hidden files and folders are left out.

    A file that two paths stand for comes once. Links to folders are not followed. In a folder only what is
    `wanted` counts; what is named outright always does.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        for found in _expand(path, wanted):
            key = _identity(found.path)
            if key is None or key not in seen:
                if key is not None:
                    seen.add(key)
                yield found


def _expand(path: Path, wanted: Wanted) -> Iterator[Source]:
    if path.is_dir():
        yield from _walk(path, wanted)
    elif os.path.lexists(path):
        yield Source(path=path, name=PurePath(path.name))
    elif _MAGIC & set(str(path)):
        yield from _matching(path, wanted)
    else:
        yield Source(path=path, name=PurePath(path.name), problem="no such file or folder")


def _matching(pattern: Path, wanted: Wanted) -> Iterator[Source]:
    found = sorted(glob.iglob(str(pattern), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not found:
        yield Source(path=pattern, name=PurePath(pattern.name), problem="nothing matches the pattern")
    recursive = "**" in pattern.parts
    for name in found:
        path = Path(name)
        if path.is_dir():
            if not recursive:  # else what is in it matches too
                yield from _walk(path, wanted)
        else:
            yield Source(path=path, name=PurePath(path.name))


def _walk(folder: Path, wanted: Wanted) -> Iterator[Source]:
    failures: list[OSError] = []
    top = PurePath(folder.resolve().name)
    # Links to folders are not followed: they may lead round in a circle.
    for parent, folders, names in os.walk(folder, onerror=failures.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if not name.startswith(".") and _is_wanted(path, wanted):
                yield Source(path=path, name=top / path.relative_to(folder))
        while failures:
            yield _unlisted(failures.pop(), top)
    for error in failures:
        yield _unlisted(error, top)


def _is_wanted(path: Path, wanted: Wanted) -> bool:
    if wanted is Wanted.ALL or looks_like_a_document(path):
        return True
    return wanted is Wanted.TEXT and is_text(path)


def _unlisted(error: OSError, top: PurePath) -> Source:
    path = Path(os.fsdecode(error.filename))
    return Source(path=path, name=top / path.name, problem=error.strerror or "cannot be listed")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
