"""Text files, in blocks: a file of any size takes the memory of one block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lorayard.summarize.reading.encoding import HEAD_BYTES, encoding_of

BLOCK_CHARACTERS: Final = 256 * 1024


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
