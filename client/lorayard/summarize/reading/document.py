"""A document's text, whatever kind of file it is, and what identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final

from lorayard.summarize.errors import DocumentError
from lorayard.summarize.kinds import Kind, kind_of
from lorayard.summarize.reading.html_file import html_text
from lorayard.summarize.reading.office_file import read_office
from lorayard.summarize.reading.pdf_file import read_pdf
from lorayard.summarize.reading.text_file import BLOCK_CHARACTERS, read_text
from lorayard.summarize.reading.whole_text import whole_text

MOST_BYTES: Final = 4 * 2**30
"""Usual limit: a larger file is more often a dump than a document."""

MOST_PARSED_BYTES: Final = 256 * 2**20
"""Of kinds that are parsed as a whole, in memory."""

_READ_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """What a file held when it was looked at."""

    digest: str
    size_bytes: int
    changed_ns: int


def look_at(path: Path, *, most_bytes: int = MOST_BYTES) -> FileContent:
    """Read all of a file's bytes for their digest.

    Raises:
        DocumentError: it is no file that can be read, or too large.
    """
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise DocumentError("not a regular file")
        limit = most_bytes if kind_of(path) is Kind.TEXT else min(most_bytes, MOST_PARSED_BYTES)
        if status.st_size > limit:
            raise DocumentError(f"{status.st_size} bytes, at most {limit} are read", code="too_large")
        digest = hashlib.sha256(kind_of(path).encode())
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    except OSError as error:
        raise DocumentError(error.strerror or type(error).__name__) from error
    return FileContent(digest=digest.hexdigest(), size_bytes=status.st_size, changed_ns=status.st_mtime_ns)


def read_document(path: Path, seen: FileContent, parsed: IO[bytes] | None = None) -> Iterator[str]:
    """The text in blocks; `parsed` is what another process has made of the file, and is closed behind it.

    Raises:
        DocumentError: there is none, or the file is another one than was `seen`.
        ExtraMissingError: its kind is read by what an extra brings.
    """
    empty = True
    try:
        for block in map(whole_text, _blocks(path) if parsed is None else _parsed(parsed)):
            empty = empty and not block.strip()
            yield block
        status = path.stat()
    except OSError as error:
        raise DocumentError(error.strerror or type(error).__name__) from error
    if (status.st_size, status.st_mtime_ns) != (seen.size_bytes, seen.changed_ns):
        raise DocumentError("it was changed while it was read; run again", code="changed")
    if empty:
        raise DocumentError("empty")


def _parsed(text: IO[bytes]) -> Iterator[str]:
    with TextIOWrapper(text, encoding="utf-8", errors="replace") as file:
        while block := file.read(BLOCK_CHARACTERS):
            yield block


def _blocks(path: Path) -> Iterator[str]:
    match kind_of(path):
        case Kind.TEXT:
            return read_text(path)
        case Kind.HTML:
            return html_text(read_text(path))
        case Kind.PDF:
            return read_pdf(path)
        case Kind.OFFICE:
            return read_office(path)
