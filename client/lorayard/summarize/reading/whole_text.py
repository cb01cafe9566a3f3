"""Text without halves of surrogate pairs, which a broken PDF or a file's name may hold and UTF-8 has no
bytes for."""

from __future__ import annotations

REPLACED = "\ufffd"


def whole_text(text: str) -> str:
    """The same text, pairs joined, halves that stand alone replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
