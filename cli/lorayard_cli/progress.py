"""How far a command is: a bar in a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lorayard_cli.output import err, note

LINES = 10
"""Without a terminal: so many lines over the whole run."""


class Advance(Protocol):
    """Called after each piece of work."""

    def __call__(self, note: str = "") -> None:
        """One more is done; the note names it."""
        ...


@contextmanager
def progress(total: int, what: str) -> Generator[Advance]:
    """Show progress over `total` pieces while the block runs."""
    if sys.stderr.isatty():
        with _bar(total, what) as advance:
            yield advance
    else:
        yield _Lines(total, what)


@contextmanager
def _bar(total: int, what: str) -> Generator[Advance]:
    columns = (
        TextColumn(what),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(what, total=total, note="")

        def advance(note: str = "") -> None:
            bar.update(task, advance=1, note=note[-28:])

        yield advance


class _Lines:
    """A line at each tenth."""

    def __init__(self, total: int, what: str) -> None:
        self._total = total
        self._what = what
        self._done = 0

    def __call__(self, note: str = "") -> None:
        """Count one more."""
        del note
        before, self._done = self._done, self._done + 1
        if self._tenth(before) != self._tenth(self._done):
            _say(f"{self._what}: {self._done}/{self._total}")

    def _tenth(self, done: int) -> int:
        return done * LINES // max(1, self._total)


def _say(text: str) -> None:
    note(text)
