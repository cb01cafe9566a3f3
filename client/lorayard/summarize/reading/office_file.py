"""The text of office documents, as markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile, is_zipfile

from lorayard.registry.extras import needing
from lorayard.summarize.errors import DocumentError

MOST_UNPACKED_BYTES: Final = 2**30
"""Of an archive, which most of these are: few kilobytes may be made to unpack to more than any memory."""


ARCHIVES: Final = frozenset({".docx", ".pptx", ".xlsx", ".epub"})


def read_office(path: Path) -> Iterator[str]:
    """Word, PowerPoint and Excel files, mails and books, all at once.

    Raises:
        DocumentError: it is broken, or none of these.
        ExtraMissingError: it is read by what `lorayard[office]` brings.
    """
    _check_size(path)
    with needing("office", "reading an office document"):
        from markitdown import MarkItDown
    try:
        converted = MarkItDown(enable_plugins=False).convert_local(path)
    except OSError:
        raise
    except Exception as error:
        # Each format has its own parser, and a broken file breaks anything in it.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DocumentError(f"a broken {path.suffix[1:]} file: {reason}") from error
    yield converted.text_content


def _check_size(path: Path) -> None:
    """Nothing is read beyond the sizes that an archive tells of."""
    if not is_zipfile(path):
        if path.suffix.lower() in ARCHIVES:
            # Its converter would take the bytes for plain text.
            raise DocumentError(f"a broken {path.suffix[1:]} file: it is no archive")
        return
    try:
        with ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except BadZipFile as error:
        raise DocumentError(f"a broken {path.suffix[1:]} file: {error}") from error
    if unpacked > MOST_UNPACKED_BYTES:
        reason = f"it unpacks to {unpacked} bytes, at most {MOST_UNPACKED_BYTES} are read"
        raise DocumentError(reason, code="too_large")
