"""See that a file was replaced: the bus reads again who may connect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.5
"""A user that was revoked is cut off about as soon."""


async def on_change(file: Path, tell: Callable[[], None]) -> None:
    """Call back whenever another file of that name is there, until cancelled."""
    known = _mark(file)
    while True:  # no library watches a folder on every platform without a thread
        await asyncio.sleep(LOOK_SECONDS)
        mark = _mark(file)
        if mark is not None and mark != known:
            known = mark
            tell()


def _mark(file: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = file.stat()
        return found.st_ino, found.st_mtime_ns
    return None
