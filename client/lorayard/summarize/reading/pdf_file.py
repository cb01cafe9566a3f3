"""The text of a PDF, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorayard.registry.extras import needing
from lorayard.summarize.errors import DocumentError


def read_pdf(path: Path) -> Iterator[str]:
    """Each page's text, a form feed behind it.

    Raises:
        DocumentError: it is broken, locked, or has no text in it.
        ExtraMissingError: it is read by what `lorayard[documents]` brings.
    """
    with needing("documents", "reading a PDF"):
        from pypdf import PdfReader
    found = False
    try:
        reader = PdfReader(path, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("it is locked by a password")
        for page in reader.pages:
            text = page.extract_text()
            found = found or bool(text.strip())
            yield f"{text}\f"
    except (DocumentError, OSError):
        raise
    except Exception as error:
        # A broken file breaks anything in the parser: KeyError, RecursionError, errors of its own.
        raise DocumentError(f"a broken PDF: {error or type(error).__name__}") from error
    if not found:
        raise DocumentError("a PDF without text: are its pages pictures?")
