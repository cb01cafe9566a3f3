"""Text files, in blocks: a file of any size takes the memory of one block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Final

from lorayard.errors import ExtraMissingError
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.reading.encoding import HEAD_BYTES, encoding_of

BLOCK_CHARACTERS: Final = 256 * 1024

LOOK_BYTES: Final = 4096
"""By which a text is told from other files: those have a zero byte in so many."""


def read_text(path: Path) -> Iterator[str]:
    """The text; line ends become \\n, and bytes that are not in its encoding U+FFFD.

    Raises:
        DocumentError: it is no text.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES + 1)
    encoding = encoding_of(head[:HEAD_BYTES], whole=len(head) <= HEAD_BYTES)
    with path.open(encoding=encoding, errors="replace") as file:
        while block := file.read(BLOCK_CHARACTERS):
            yield block


def is_text(path: Path) -> bool:
    """Whether a file begins like a text and is not empty; one that nobody can tell of is taken for one, so
    that it is listed with the reason."""
    try:
        if not S_ISREG(path.stat().st_mode):  # opening a pipe waits for whoever writes to it
            return False
        with path.open("rb") as file:
            head = file.read(LOOK_BYTES)
        encoding_of(head, whole=len(head) < LOOK_BYTES)
    except DocumentError:
        return False
    except (OSError, ExtraMissingError):
        return True
    return bool(head.strip())
