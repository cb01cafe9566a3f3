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
    head = text[: limit_characters + 1]  # one more, to see whether the limit is itself a border
    least = int(limit_characters * LEAST_SHARE)
    for border in (_SENTENCE_END, _SPACE):
        # A space is no part of a word, so it is cut in front of; a sentence keeps its full stop.
        ends = [m.end() if border is _SENTENCE_END else m.start() for m in border.finditer(head)]
        fitting = [end for end in ends if least <= end <= limit_characters]
        if fitting:
            return text[: fitting[-1]].rstrip()
    return text[:limit_characters].rstrip() or text[:limit_characters]
