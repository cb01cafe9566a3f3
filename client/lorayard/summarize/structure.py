"""A summary as a record: title, summary and key points, kept to by a JSON schema and checked again here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MOST_POINTS: Final = 5
TITLE_CHARACTERS: Final = 100
POINT_CHARACTERS: Final = 160
CHARACTERS_PER_WORD: Final = 8

LOOP_WORDS: Final = 12
LOOP_TIMES: Final = 4
"""A phrase of so many words at most, so often, one behind the other: no text with a meaning has that."""

SPARE_TOKENS: Final = 64
"""For names of fields, quotes and escapes."""

_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class StructuredSummary(BaseModel):
    """What the model writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: _Words
    summary: _Words
    key_points: tuple[_Words, ...] = Field(min_length=1, max_length=MOST_POINTS)


class UnusableAnswerError(ValueError):
    """An answer that is no summary; the message says why."""


def schema(words: int) -> Mapping[str, Any]:
    """What the answer is held to. Every text has an end, or a small model would never close it."""
    point = {"type": "string", "minLength": 3, "maxLength": POINT_CHARACTERS}
    summary = {"type": "string", "minLength": 3, "maxLength": words * CHARACTERS_PER_WORD}
    return {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 3, "maxLength": TITLE_CHARACTERS},
            "summary": summary,
            "key_points": {"type": "array", "items": point, "minItems": 1, "maxItems": MOST_POINTS},
        },
        "required": ["title", "summary", "key_points"],
        "additionalProperties": False,
    }


def read_structured(text: str) -> StructuredSummary:
    """The record in an answer.

    Raises:
        UnusableAnswerError: it is none: cut short, or empty where words belong.
    """
    try:
        return StructuredSummary.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnusableAnswerError(f"{place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no JSONDecodeError
        raise UnusableAnswerError(f"no JSON document: {error}") from error


_LABEL: Final = re.compile(r"^\s*(?:summary|title)\s*:\s*", re.IGNORECASE)
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+(?P<point>\S.*)$", re.MULTILINE)


def plain_summary(text: str) -> str:
    """An answer without the label that some adapters begin with.

    Raises:
        UnusableAnswerError: nothing is left.
    """
    if found := _LABEL.sub("", text, count=1).strip():
        return found
    raise UnusableAnswerError("the answer is empty")


def without_loop(text: str) -> str:
    """An answer that ran into its limit, without the few words that it said over and over up to there, as
    small models do; all of it, where it does not end so."""
    words = text.split()[:-1]  # the last one may be cut in two
    for width in range(1, LOOP_WORDS + 1):
        repeated = 0
        while repeated + width < len(words) and words[-1 - repeated] == words[-1 - repeated - width]:
            repeated += 1
        if repeated >= width * (LOOP_TIMES - 1):
            return " ".join(words[: len(words) - repeated])
    return text


def bullets(text: str) -> tuple[str, ...]:
    """The points of a list, in any of the usual forms."""
    return tuple(match["point"].strip() for match in _BULLET.finditer(text))
