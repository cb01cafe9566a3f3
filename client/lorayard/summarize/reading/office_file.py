"""The text of office documents, as markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorayard.registry.extras import needing
from lorayard.summarize.errors import DocumentError


def read_office(path: Path) -> Iterator[str]:
    """Word, PowerPoint and Excel files, mails and books, all at once.

    Raises:
        DocumentError: it is broken, or none of these.
        ExtraMissingError: it is read by what `lorayard[office]` brings.
    """
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
