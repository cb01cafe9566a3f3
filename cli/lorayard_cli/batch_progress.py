"""How far a batch is, while it runs: a bar in a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lorayard.batch import BatchCounts, Manifest
from lorayard.batch.runner import OnProgress
from lorayard_cli.output import err, note

LINE_SECONDS = 10.0
"""Without a terminal."""


@contextmanager
def batch_progress() -> Generator[OnProgress]:
    """Show the progress of the batch that runs in the block."""
    if sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield _Lines()


@contextmanager
def _bar() -> Generator[OnProgress]:
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("batch", total=None, told="")

        def tell(manifest: Manifest) -> None:
            counts = manifest.counts
            bar.update(task, completed=counts.written, total=counts.lines, told=rates(counts))

        yield tell


class _Lines:
    """One every ten seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, manifest: Manifest) -> None:
        """Tell, unless it was told just now."""
        if manifest.finished_at is None and time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            counts = manifest.counts
            note(f"batch: {counts.written}/{counts.lines} lines, {rates(counts)}")


def rates(counts: BatchCounts) -> str:
    """`812 tokens/s, 96% resident, 3 failed, 02:10 left`."""
    told = [f"{counts.tokens_per_second:,.0f} tokens/s"]
    if counts.hit_rate is not None:
        told.append(f"{counts.hit_rate:.0%} resident")
    if failed := counts.failed + counts.bad:
        told.append(f"{failed} failed")
    if counts.seconds_left is not None:
        told.append(f"{clock(counts.seconds_left)} left")
    if counts.trouble is not None:
        told.append(f"waits: {counts.trouble}")
    return ", ".join(told)


def clock(seconds: float) -> str:
    """`02:10`, or `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
