"""What a file is, by its name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import Final


class Kind(StrEnum):
    """How a document is read."""

    TEXT = "text"
    """Markdown and the like too: a model reads it as it is."""
    HTML = "html"
    PDF = "pdf"
    """Needs the extra `documents`."""
    OFFICE = "office"
    """Needs the extra `office`."""


_BY_SUFFIX: Final = {
    **dict.fromkeys(
        (".txt", ".text", ".md", ".markdown", ".mdown", ".rst", ".adoc", ".org", ".log", ".tex"), Kind.TEXT
    ),
    **dict.fromkeys((".html", ".htm", ".xhtml"), Kind.HTML),
    ".pdf": Kind.PDF,
    **dict.fromkeys((".docx", ".pptx", ".xlsx", ".xls", ".epub", ".msg"), Kind.OFFICE),
}


def kind_of(path: PurePath) -> Kind:
    """How it is read; what has no known name is taken for text until its bytes say otherwise."""
    return _BY_SUFFIX.get(path.suffix.lower(), Kind.TEXT)


def looks_like_a_document(path: PurePath) -> bool:
    """Whether it is read when it is found in a folder: README, LICENSE and `copyright` have no suffix."""
    return not path.suffix or path.suffix.lower() in _BY_SUFFIX
