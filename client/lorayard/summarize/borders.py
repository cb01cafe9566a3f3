"""Where a text may be cut: between sections, else paragraphs, else sentences, lines, words, characters."""

from __future__ import annotations

import re
from typing import Final

SECTION: Final = re.compile(r"\n(?=#{1,6} \S)|\f|\n(?=[^\n]+\n[=~-]{3,}\n)")
"""Before a heading of markdown or reStructuredText, and behind a page."""
PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")
SENTENCE: Final = re.compile(r"[.!?…。！？][\"')\]»”]*(?:\s+|$)")  # noqa: RUF001  # full stops of other scripts
LINE: Final = re.compile(r"\n")
WORD: Final = re.compile(r"\s+")

LEAST_SHARE: Final = {SECTION: 0.6, PARAGRAPH: 0.6, SENTENCE: 0.5, LINE: 0.5, WORD: 0.0}
"""A border before this share of the limit leaves too much room unused: a weaker one will do."""


def cut_at(text: str, limit: int) -> int:
    """Where to cut so that at most `limit` characters, and at least one, come before it."""
    if len(text) <= limit:
        return len(text)
    for border, share in LEAST_SHARE.items():
        least = max(1, int(limit * share))
        # One character more, to see a border that lies on the limit itself.
        ends = [match.end() for match in border.finditer(text, least - 1, limit + 1)]
        fitting = [end for end in ends if least <= end <= limit]
        if fitting:
            return fitting[-1]
    return max(1, limit)
