"""Which encoding a file's bytes are in, by its first ones; or that they are no text."""

from __future__ import annotations

import codecs
from typing import Final

from lorayard.registry.extras import needing
from lorayard.summarize.errors import DocumentError

HEAD_BYTES: Final = 64 * 1024

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_CHARACTER: Final = 4
_TEXT_CONTROLS: Final = frozenset(b"\t\n\v\f\r\b\x1b")
"""Escapes too: logs have colours."""

MOST_CONTROLS: Final = 0.02
"""Of the bytes: text has next to none."""


def encoding_of(head: bytes, *, whole: bool) -> str:
    """The encoding, as Python names it. `whole`: there is no more than these bytes.

    Raises:
        DocumentError: it is no text, or in an encoding that nobody knows.
        ExtraMissingError: it is not UTF-8, and what finds out more is not installed.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" in head or _controls(head) > MOST_CONTROLS * len(head):
        raise DocumentError("no text: binary data")
    if _is_utf8(head, whole=whole):
        return "utf-8"
    return _detected(head)


def _controls(head: bytes) -> int:
    return sum(1 for byte in head if byte < 0x20 and byte not in _TEXT_CONTROLS)


def _is_utf8(head: bytes, *, whole: bool) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut in two.
        return not whole and error.start >= len(head) - _LONGEST_CHARACTER
    return True


def _detected(head: bytes) -> str:
    with needing("documents", "reading a text that is not UTF-8"):
        from charset_normalizer import from_bytes
    best = from_bytes(head).best()
    if best is None:
        raise DocumentError("no text: neither UTF-8 nor any encoding that it could be told from")
    return best.encoding
