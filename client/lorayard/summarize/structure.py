"""A summary as a record: title, summary and key points, kept to by a JSON schema and checked again here."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lorayard.summarize.wording import (
    UnusableAnswerError,
    plain_summary,
    said_once,
    same_words,
    whole_sentences,
    without_loop,
)

LEAST_POINTS: Final = 2
"""That are asked for: models that may write one point write the title once more."""
MOST_POINTS: Final = 5
TITLE_CHARACTERS: Final = 100
POINT_CHARACTERS: Final = 160
CHARACTERS_PER_WORD: Final = 8

LEAST_TITLE_CHARACTERS: Final = 6
LEAST_POINT_CHARACTERS: Final = 16
LEAST_SUMMARY_CHARACTERS: Final = 40
"""A small model ends a text as soon as it may; names of fields are shorter than that, too."""

SPARE_TOKENS: Final = 64
"""For names of fields, quotes and escapes."""

_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class StructuredSummary(BaseModel):
    """What the model writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: _Words
    summary: _Words
    key_points: tuple[_Words, ...] = Field(min_length=1, max_length=MOST_POINTS)


_FIELDS: Final = frozenset(same_words(name) for name in (*StructuredSummary.model_fields, "key point"))
"""Which models repeat from their instructions instead of saying something."""


_NUMBER: Final = re.compile(r"^\s*\d+[.)]\s*")
_LABELLED: Final = re.compile(r"\s*(?:title|summary|key[_ ]?points?)\s*:", re.IGNORECASE)


class PoorAnswerError(UnusableAnswerError):
    """An answer that better ones are looked for than; it is used where there are none."""


def schema(words: int) -> Mapping[str, Any]:
    """What the answer is held to. Every text has an end, or a small model would never close it."""
    longest = words * CHARACTERS_PER_WORD
    return {
        "type": "object",
        "properties": {
            "title": _text(LEAST_TITLE_CHARACTERS, TITLE_CHARACTERS),
            "summary": _text(min(LEAST_SUMMARY_CHARACTERS, longest // 2), longest),
            "key_points": {
                "type": "array",
                "items": _text(LEAST_POINT_CHARACTERS, POINT_CHARACTERS),
                "minItems": LEAST_POINTS,
                "maxItems": MOST_POINTS,
            },
        },
        "required": ["title", "summary", "key_points"],
        "additionalProperties": False,
    }


def _text(least: int, most: int) -> Mapping[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most}


def read_structured(text: str, words: int) -> StructuredSummary:
    """The record in an answer to `schema(words)`: texts that were cut at their limits end with a sentence or
    a word, and what says nothing is left out: names of fields, the title, the same again.

    Raises:
        UnusableAnswerError: it is none: cut short, or empty where words belong.
    """
    record = _parsed(text)
    points = tuple(_telling(record))
    if is_field_name(record.summary):
        raise UnusableAnswerError("summary: it is the name of a field")
    changed = {
        "title": whole_sentences(record.title, TITLE_CHARACTERS),
        "summary": _told(record.summary, words)[0],
        "key_points": tuple(whole_sentences(point, POINT_CHARACTERS) for point in points),
    }
    return record.model_copy(update=changed)


def check_structured(text: str, words: int, *, names: Collection[str]) -> None:
    """Whether the record says something in each of its fields; `names` are those of the document.

    Raises:
        PoorAnswerError: not in each.
        UnusableAnswerError: as `read_structured`.
    """
    kept, written = read_structured(text, words), _parsed(text)
    known = {same_words(name) for name in names}
    if len(kept.key_points) < len(written.key_points):
        raise PoorAnswerError("key_points: they repeat the title, each other or names of fields")
    if is_field_name(kept.title) or same_words(kept.title) in known:
        raise PoorAnswerError("title: it is the name of the file, or of a field")
    if same_words(kept.summary) in known | {same_words(kept.title)}:
        raise PoorAnswerError("summary: it is the title, or the name of the file")
    if _told(written.summary, words)[1]:
        raise PoorAnswerError("summary: it says the same over and over")


def _told(summary: str, words: int) -> tuple[str, bool]:
    """What it says, once and in whole sentences, and whether it says something over and over."""
    plain = plain_summary(summary)
    straight = without_loop(plain)
    ended = whole_sentences(straight, words * CHARACTERS_PER_WORD)
    once = said_once(ended)
    return once, straight != plain or once != ended


def is_field_name(text: str) -> bool:
    """Whether a model has repeated its instructions."""
    return same_words(text) in _FIELDS


def _parsed(text: str) -> StructuredSummary:
    try:
        return StructuredSummary.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnusableAnswerError(f"{place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no JSONDecodeError
        raise UnusableAnswerError(f"no JSON document: {error}") from error


def _telling(record: StructuredSummary) -> Iterator[str]:
    said = {*_FIELDS, same_words(record.title), ""}
    for point in record.key_points:
        if (words := same_words(_NUMBER.sub("", point))) not in said and not _LABELLED.match(point):
            said.add(words)
            yield point
