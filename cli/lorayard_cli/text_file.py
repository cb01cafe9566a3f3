"""A file that is a prompt or a schema: UTF-8, as it is."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG
from typing import Final

MAX_FILE_BYTES: Final = 64 * 2**20
"""No longer prompt can travel."""


class UnreadableFileError(Exception):
    """A file that gives no text; the message says why."""


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
