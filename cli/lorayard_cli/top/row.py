"""A row of a table: what is shown, what it is sorted by, and what it is about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from lorayard_cli.top.columns import Column

T = TypeVar("T")

LEAST = -math.inf
"""Sorts what is not known below all numbers."""


class Mark(StrEnum):
    """How much a row should catch the eye; what it says stands in its cells too."""

    PLAIN = "plain"
    FAINT = "faint"
    """Nothing goes on there."""
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[T]):
    """One thing in a table."""

    key: str
    """The same thing has the same key in every reading."""
    cells: tuple[str, ...]
    order: tuple[Any, ...]
    """What each column is sorted by: values of one kind."""
    about: T
    mark: Mark = Mark.PLAIN

    def has(self, words: Sequence[str]) -> bool:
        """Whether it has every word of a filter, and none of those with a `-` before."""
        text = "\n".join(self.cells).casefold()
        return all((word[1:] not in text) if word.startswith("-") else word in text for word in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a table looks like."""

    columns: tuple[Column, ...]
    sorted_by: int
    """The place of a column."""
    descending: bool = False
    empty: str
    """What is said where there is no row: what it means, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a user has made of a table: a filter, and an order."""

    sorted_by: int
    descending: bool
    filter: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Of the filter; a lone `-` is one that is still being written."""
        return tuple(word for word in self.filter.casefold().split() if word != "-")

    def of(self, rows: Sequence[Row[T]]) -> list[Row[T]]:
        """The rows that fit, in their order; those alike by their keys, so that none jumps."""
        words = self.words
        kept = [row for row in rows if row.has(words)] if words else list(rows)
        kept.sort(key=lambda row: row.key)
        kept.sort(key=lambda row: row.order[self.sorted_by], reverse=self.descending)
        return kept
