"""What stands in an answer beside its words: labels, bullets, and what a small model says over and over."""

from __future__ import annotations

import re
from typing import Final

from lorayard.summarize.borders import SENTENCE

LOOP_WORDS: Final = 40
"""A phrase of so many words at most: models go round in whole sentences, too."""
LOOP_TIMES: Final = 3
"""So often, one behind the other: no text with a meaning has that."""

LONG_PHRASE_WORDS: Final = 8
LONG_PHRASE_TIMES: Final = 2
"""Nor has it a whole sentence twice, word by word."""

_LABEL: Final = re.compile(r"^\s*(?:summary|title)\s*:\s*", re.IGNORECASE)
_LABEL_INSIDE: Final = re.compile(r"(?<!\w)Summary[ \t]*:\s*")
_ENDED: Final = re.compile(r"(?:[.!?]\s+|\n\s*)$")
"""Behind that a label begins a summary anew; within a sentence it stands for nothing."""
_BEGINNING: Final = re.compile(r"(?<=[.!?])(\s*)(?=[A-Z])")
_FEWEST_WORDS: Final = 4
"""Of a sentence that is known again: shorter ones may be initials."""
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
    begun: list[str] = []
    for piece in _LABEL_INSIDE.split(_LABEL.sub("", text, count=1)):
        if begun and not _ENDED.search(begun[-1]):
            begun[-1] += piece
        else:
            begun.append(piece)
    kept: list[str] = []
    for piece in map(str.strip, begun):
        words = same_words(piece)
        if piece and not any(same_words(one).startswith(words) for one in kept):
            kept.append(piece)
    if not kept:
        raise UnusableAnswerError("the answer is empty")
    return "\n".join(kept)


def whole_sentences(text: str, most_characters: int) -> str:
    """A text that was cut off at a limit, up to its last whole sentence or else word; any other as it is."""
    if len(text) < most_characters - 1:  # a space may have stood at its end
        return text
    end = max((match.end() for match in SENTENCE.finditer(text)), default=0)
    if end >= most_characters // 3:
        return text[:end].rstrip()
    return text.rpartition(" ")[0].rstrip(" ,;:") + " …" if " " in text else text


def said_once(text: str) -> str:
    """A text without the sentences that stood in it before, or of which only the beginning stands there."""
    pieces = _BEGINNING.split(text)
    kept, said = pieces[0], [same_words(pieces[0])]
    for space, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        words = same_words(piece)
        if words.count(" ") + 1 < _FEWEST_WORDS or not any(f"{one} ".startswith(f"{words} ") for one in said):
            kept += space + piece
            said.append(words)
    return kept


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
