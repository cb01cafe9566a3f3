"""What stands in an answer beside its words: labels, bullets, and what a small model says over and over."""

from __future__ import annotations

import re
from typing import Final

LOOP_WORDS: Final = 40
"""A phrase of so many words at most: models go round in whole sentences, too."""
LOOP_TIMES: Final = 3
"""So often, one behind the other: no text with a meaning has that."""

LONG_PHRASE_WORDS: Final = 8
LONG_PHRASE_TIMES: Final = 2
"""Nor has it a whole sentence twice, word by word."""

_LABEL: Final = re.compile(r"^\s*(?:summary|title)\s*:\s*", re.IGNORECASE)
_LABEL_INSIDE: Final = re.compile(r"(?:(?<=\n)|(?<=[.!?]\s))[ \t]*Summary[ \t]*:\s*")
"""Where a model begins anew. Within a sentence it is a word."""
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+(?P<point>\S.*)$", re.MULTILINE)
_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")


class UnusableAnswerError(ValueError):
    """An answer that is no summary; the message says why."""


def plain_summary(text: str) -> str:
    """An answer without the labels that some models put before it, and begin it anew with; what a later
    beginning only repeats is left out.

    Raises:
        UnusableAnswerError: nothing is left.
    """
    kept: list[str] = []
    for piece in _LABEL_INSIDE.split(_LABEL.sub("", text, count=1)):
        words = same_words(piece)
        if piece.strip() and not any(same_words(one).startswith(words) for one in kept):
            kept.append(piece.strip())
    if not kept:
        raise UnusableAnswerError("the answer is empty")
    return "\n".join(kept)


def without_loop(text: str) -> str:
    """An answer that ran into its limit, without the words that it said over and over up to there, as
    small models do; all of it, where it does not end so."""
    words = text.split()[:-1]  # the last one may be cut in two
    for width in range(1, LOOP_WORDS + 1):
        repeated = 0
        while repeated + width < len(words) and words[-1 - repeated] == words[-1 - repeated - width]:
            repeated += 1
        times = LOOP_TIMES if width < LONG_PHRASE_WORDS else LONG_PHRASE_TIMES
        if repeated >= width * (times - 1):
            return " ".join(words[: len(words) - repeated])
    return text


def bullets(text: str) -> tuple[str, ...]:
    """The points of a list, in any of the usual forms."""
    return tuple(match["point"].strip() for match in _BULLET.finditer(text))


def same_words(text: str) -> str:
    """A form in which texts are the same that differ in case, spaces and signs alone."""
    return _BETWEEN_WORDS.sub(" ", text).strip().casefold()
