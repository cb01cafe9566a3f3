"""Columns of a table, and which of them a terminal has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

GAP = 1
"""Blanks between two columns."""

_CUT = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; what does not fit into it is cut."""

    title: str
    width: int
    """Characters; of one that grows, the least."""
    right: bool = False
    """Numbers stand under each other."""
    grows: bool = False
    """It takes what is left, up to its longest cell."""
    keeps_end: bool = False
    """Cut in front: of a name's parts the last tells most."""
    rank: int = 0
    """Where there is too little room, the highest go first; 0: never."""


def fitted(columns: Sequence[Column], width: int, longest: Sequence[int] = ()) -> list[tuple[int, int]]:
    """Which columns are shown, by place, and how wide.

    `longest` is the length of the longest cell of each column: one that grows takes no more.
    """
    shown = list(range(len(columns)))
    while _needed(columns, shown) > width and any(columns[place].rank for place in shown):
        shown.remove(max(shown, key=lambda place: (columns[place].rank, place)))
    left = max(0, width - _needed(columns, shown))
    widths: list[tuple[int, int]] = []
    for place in shown:
        column = columns[place]
        wanted = longest[place] - column.width if column.grows and longest else 0
        more = min(left, max(0, wanted))
        left -= more
        widths.append((place, column.width + more))
    return widths


def _needed(columns: Sequence[Column], shown: Sequence[int]) -> int:
    return sum(columns[place].width for place in shown) + GAP * (len(shown) - 1)


def clean(text: str) -> str:
    """Text of strangers without what would move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " for each in text)


def fit(text: str, width: int, *, right: bool = False, keeps_end: bool = False) -> str:
    """A cell's text in just so many columns of the terminal."""
    text = clean(text)
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        text = _cut(text, width, keeps_end=keeps_end)
        length = width
    blanks = " " * (width - length)
    return blanks + text if right else text + blanks


def _cut(text: str, width: int, *, keeps_end: bool) -> str:
    if width < 1:
        return ""
    if not keeps_end:
        return set_cell_size(text, width - 1) + _CUT
    tail = text
    while cell_len(tail) > width - 1:
        tail = tail[1:]
    return set_cell_size(_CUT + tail, width)
