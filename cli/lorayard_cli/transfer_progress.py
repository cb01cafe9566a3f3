"""How far a transfer is: a bar of bytes in a terminal, a line at each tenth elsewhere; always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from lorayard_cli.output import err, note
from lorayard_cli.progress import LINES


class Transfer(Protocol):
    """What a transfer tells of itself."""

    def size(self, size_bytes: int) -> None:
        """All of it has so many bytes."""
        ...

    def moved(self, size_bytes: int) -> None:
        """So many more are in place."""
        ...


@contextmanager
def transfer_progress(what: str) -> Generator[Transfer]:
    """Show progress while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines(what)
        return
    columns = (
        TextColumn(what, markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=err(), transient=True) as shown:
        yield _Bar(shown, what)


class _Bar:
    def __init__(self, shown: Progress, what: str) -> None:
        self._shown = shown
        self._task = shown.add_task(what, total=None)

    def size(self, size_bytes: int) -> None:
        self._shown.update(self._task, total=size_bytes)

    def moved(self, size_bytes: int) -> None:
        self._shown.update(self._task, advance=size_bytes)


class _Lines:
    """A line at each tenth."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._total = self._done = 0

    def size(self, size_bytes: int) -> None:
        self._total = size_bytes

    def moved(self, size_bytes: int) -> None:
        before, self._done = self._done, self._done + size_bytes
        if self._tenth(before) != self._tenth(self._done):
            note(f"{self._what}: {megabytes(self._done)} of {megabytes(self._total)} MB")

    def _tenth(self, done: int) -> int:
        return done * LINES // max(1, self._total)


def megabytes(size_bytes: int) -> str:
    """With a digit behind the point, so that small adapters show too."""
    return f"{size_bytes / 1e6:.1f}"
