"""Cut a document to a length without cutting a sentence, where it has any."""

from __future__ import annotations

import re
from typing import Final

_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"')\]»”]*(?=\s|$)|\n\s*\n")  # noqa: RUF001  # full stops of other scripts
_SPACE: Final = re.compile(r"\s")

LEAST_SHARE: Final = 0.5
"""A sentence end before this share of the limit would throw away too much: a word's end will do."""


def cut_to(text: str, limit_characters: int) -> str:
    """The beginning of the text, at most this long: whole sentences, else whole words, else characters."""
    if limit_characters < 1:
        raise ValueError(f"at least one character must stay, got {limit_characters}")
    if len(text) <= limit_characters:
        return text
    # White space alone is no document: then rather the bare beginning.
    return text[: _border(text, limit_characters)].rstrip() or text[:limit_characters]


def _border(text: str, limit: int) -> int:
    head = text[: limit + 1]  # one more, to see whether the limit is itself a border
    for ends in (
        [match.end() for match in _SENTENCE_END.finditer(head)],  # with its full stop
        [match.start() for match in _SPACE.finditer(head)],
    ):
        fitting = [end for end in ends if limit * LEAST_SHARE <= end <= limit]
        if fitting:
            return fitting[-1]
    return limit
