"""Adds finished lines to the two files, many at a time where many finish at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from lorayard.batch.in_thread import in_thread
from lorayard.batch.line_file import LineFile
from lorayard_shared.value import value

SYNC_SECONDS = 5.0
"""With the policy `interval`."""

WAITING_LINES = 1024
"""Finished and not written yet: a slow disk holds the batch up instead of filling the memory."""


class Fsync(StrEnum):
    """When the disk itself is asked to keep what was written; a killed process alone loses nothing."""

    NEVER = "never"
    INTERVAL = "interval"
    """Every few seconds: a power cut costs those lines, and they are fetched or answered again."""
    LINE = "line"
    """Before a line counts as done."""


@value
class Finished:
    """One line for a file, and whom to tell once it stands there."""

    file: LineFile
    body: bytes
    tell: Callable[[], None]


class Writer:
    """One task that owns both files while the batch runs."""

    def __init__(self, files: tuple[LineFile, ...], fsync: Fsync) -> None:
        self._files = files
        self._fsync = fsync
        self._queue: asyncio.Queue[Finished | None] = asyncio.Queue(WAITING_LINES)
        self._synced = time.monotonic()

    async def put(self, finished: Finished) -> None:
        """Write this soon; waits while too many wait."""
        await self._queue.put(finished)

    async def finish(self) -> None:
        """Nothing more comes: `run` ends once all is written."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write until there is nothing more.

        Raises:
            OutputWriteError: a file cannot be written.
            OutputReplacedError: one is another than before.
        """
        ended = False
        while not ended:
            items = [await self._queue.get()]
            while not self._queue.empty():
                items.append(self._queue.get_nowait())
            lines = [item for item in items if item is not None]
            ended = len(lines) < len(items)
            await in_thread(partial(self._write, lines, last=ended))
            for line in lines:
                line.tell()

    def _write(self, lines: list[Finished], *, last: bool) -> None:
        for file in self._files:
            if body := b"".join(line.body for line in lines if line.file is file):
                file.append(body)
        if last:
            for file in self._files:
                file.check()
        if self._due(last=last):
            for file in self._files:
                file.sync()
            self._synced = time.monotonic()

    def _due(self, *, last: bool) -> bool:
        match self._fsync:
            case Fsync.NEVER:
                return False
            case Fsync.LINE:
                return True
            case Fsync.INTERVAL:
                return last or time.monotonic() - self._synced >= SYNC_SECONDS
