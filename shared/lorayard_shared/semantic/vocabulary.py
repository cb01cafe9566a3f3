"""A tokenizer made smaller: the tokens that come up most, numbered anew, and how often each may come up.

Byte-pair merges are learnt in the order of frequency, and single characters stand in that order too, so a
prefix of both is itself the tokenizer that would have been trained for fewer tokens: a rare word falls into
more pieces, and nothing else changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

MAX_MERGED = 32_768
"""Tokens of several characters that are kept of a byte-pair vocabulary: twice as many bring no more."""
MAX_SINGLE = 8_192
"""Single characters: all alphabets and the usual signs of Chinese, Japanese and Korean."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""How a tokenizer with a fall-back on bytes spells them."""


class VocabularyError(ValueError):
    """This is no tokenizer.json, or of a kind that is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The kept tokens, in their new order."""

    tokenizer: bytes
    """tokenizer.json"""
    sources: NDArray[np.intp]
    """The number that each had."""
    ranks: NDArray[np.intp]
    """By frequency among its kind, from 1; 0 for tokens that say nothing, such as that of the unknown."""


def smaller_vocabulary(tokenizer: bytes) -> Vocabulary:
    """Of a tokenizer.json; ignores case, adds nothing, neither cuts nor pads. Raises VocabularyError."""
    try:
        document: Any = json.loads(tokenizer)
        model: Any = document["model"]
        numbered = sorted((int(i), str(token)) for token, i in _vocabulary(model).items())
        silent = _silent(document, model)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VocabularyError(f"no tokenizer that can be read: {error!s:.150}") from None
    cuts = model.get("type") == "BPE"
    kept, ranks = _ranked(numbered, silent, cuts=cuts)
    renumbered = {token: new for new, (_, token) in enumerate(kept)}
    model["vocab"] = renumbered
    if cuts:
        model["merges"] = [
            pair for pair in map(_pair, model["merges"]) if {*pair, "".join(pair)} <= renumbered.keys()
        ]
    document |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    document["normalizer"] = _without_case(document.get("normalizer"))
    return Vocabulary(
        tokenizer=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        sources=np.array([old for old, _ in kept], np.intp),
        ranks=np.array(ranks, np.intp),
    )


def _vocabulary(model: Any) -> Mapping[str, int]:
    if model.get("type") not in ("BPE", "WordPiece", "WordLevel"):
        raise VocabularyError(
            f"a {model.get('type')!s:.40} tokenizer; BPE, WordPiece and WordLevel are known"
        )
    return cast("Mapping[str, int]", model["vocab"])


def _silent(document: Any, model: Any) -> frozenset[str]:
    """Marks, and the token of whatever is unknown."""
    marks = {str(added["content"]) for added in document.get("added_tokens") or () if added["special"]}
    unknown = {str(model["unk_token"])} if model.get("unk_token") else set[str]()
    return frozenset(marks | unknown)


def _ranked(
    numbered: list[tuple[int, str]], silent: frozenset[str], *, cuts: bool
) -> tuple[list[tuple[int, str]], list[int]]:
    kept: list[tuple[int, str]] = []
    ranks: list[int] = []
    singles = merged = 0
    for number, token in numbered:
        if token in silent:
            rank = 0
        elif _BYTE.fullmatch(token):
            rank = 1  # as common as can be: a bare byte says next to nothing
        elif len(token) == 1:
            rank = singles = singles + 1
        else:
            rank = merged = merged + 1
        if cuts and rank > (MAX_SINGLE if len(token) == 1 else MAX_MERGED):
            continue
        kept.append((number, token))
        ranks.append(rank)
    return kept, ranks


def _pair(merge: Any) -> tuple[str, str]:
    """Older files write `a b`, newer ones `[a, b]`."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _without_case(normalizer: Any) -> Any:
    """A prompt's first word is the word that it is elsewhere, behind a blank and in small letters."""
    first = [{"type": "Prepend", "prepend": " "}, {"type": "Lowercase"}]
    return {"type": "Sequence", "normalizers": [*first, *([normalizer] if normalizer else [])]}
