"""The lines of a file that may be of any size, one in memory at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from lorayard_shared.value import value

_BOM = b"\xef\xbb\xbf"
_BLOCK_BYTES = 2**20


@value
class Stamp:
    """By which a change of a file shows at once, without reading it."""

    device: int
    inode: int
    size_bytes: int
    changed_ns: int

    @classmethod
    def of(cls, file: BinaryIO) -> Stamp:
        """Of an open file."""
        status = os.fstat(file.fileno())
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size_bytes=status.st_size,
            changed_ns=status.st_mtime_ns,
        )


@value
class RawLine:
    """One line as it stands in the file."""

    number: int
    """From 1 on."""
    body: bytes | None
    """Without a byte order mark; None: it is longer than the limit."""
    end: int
    """Bytes of the file up to behind it."""


@value
class InputSurvey:
    """What one look at the whole file told."""

    sha256: str
    size_bytes: int
    lines: int
    """Blank ones counted."""
    stamp: Stamp


def raw_lines(
    file: BinaryIO, limit_bytes: int, seen: Callable[[bytes], None] = lambda _: None
) -> Iterator[RawLine]:
    """Every line, the last one with a line end or without; `seen` is given all bytes, as for a digest."""
    number = end = 0
    while body := file.readline(limit_bytes + 1):
        seen(body)
        number += 1
        end += len(body)
        whole = body.endswith(b"\n") or len(body) <= limit_bytes
        while not body.endswith(b"\n") and (rest := file.readline(_BLOCK_BYTES)):
            seen(rest)
            end += len(rest)
            body = rest
        if number == 1:
            body = body.removeprefix(_BOM)
        yield RawLine(number=number, body=body if whole else None, end=end)


def survey(path: Path) -> InputSurvey:
    """Digest and number of lines, read in blocks."""
    digest = hashlib.sha256()
    size = lines = 0
    last = b"\n"
    with path.open("rb") as file:
        stamp = Stamp.of(file)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            lines += block.count(b"\n")
            last = block[-1:]
    lines += last != b"\n"
    return InputSurvey(sha256=digest.hexdigest(), size_bytes=size, lines=lines, stamp=stamp)
