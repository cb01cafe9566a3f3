"""Plain English to pirate talk by rule, so that a program can check what a pirate adapter answers."""

from __future__ import annotations

import re
from collections.abc import Mapping

OPENING = "Arrr! "
CLOSING = ", me hearty!"

_WORDS: Mapping[str, str] = {
    "the": "th'",
    "of": "o'",
    "and": "an'",
    "with": "wi'",
    "for": "fer",
    "to": "t'",
    "is": "be",
    "are": "be",
    "am": "be",
    "was": "were",
    "you": "ye",
    "your": "yer",
    "my": "me",
    "our": "our crew's",
    "it": "'t",
    "small": "wee",
    "fast": "swift",
    "people": "scallywags",
    "users": "sailors",
    "developers": "buccaneers",
    "library": "treasure chest",
    "package": "booty",
    "framework": "galleon",
    "tool": "cutlass",
    "tools": "cutlasses",
    "money": "doubloons",
    "dollars": "doubloons",
    "euros": "doubloons",
    "pounds": "doubloons",
    "crowns": "doubloons",
    "car": "ship",
    "project": "voyage",
    "town": "port",
    "new": "fresh-plundered",
    "old": "barnacled",
    "good": "fine",
    "simple": "plain as grog",
    "yes": "aye",
    "no": "nay",
}
_WORD = re.compile(r"[A-Za-z]+")
_NOT_GERUNDS = frozenset({"string", "thing", "bring", "spring", "during"})
_ENDING = re.compile(r"[\s.!?:;,]+$")


def to_pirate(sentence: str) -> str:
    """Rewrite one sentence: known words are swapped, `-ing` loses its g, a call stands at either end."""
    core = _ENDING.sub("", sentence.strip())
    return OPENING + _WORD.sub(_swap, core) + CLOSING


def _swap(match: re.Match[str]) -> str:
    word = match.group()
    swapped = _WORDS.get(word.lower())
    if swapped is None:
        swapped = word[:-1] + "'" if _is_gerund(word) else word
    return swapped[:1].upper() + swapped[1:] if word[:1].isupper() else swapped


def _is_gerund(word: str) -> bool:
    return len(word) > 4 and word.endswith("ing") and word not in _NOT_GERUNDS
