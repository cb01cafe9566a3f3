"""What every side shares: a worker ticks once per job, a producer counts the ticks and tells the time.

A tick is one byte in a FIFO: it costs about a microsecond in any library, thread or process, so no side pays
for the way in which its library would report completion.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

URL = os.environ.get("PEER_URL", "")
FOLDER = Path(os.environ.get("PEER_FOLDER", "."))
RESULTS_URL = os.environ.get("PEER_RESULTS_URL")
"""Where a library that keeps no results by default is told to keep them; None: nowhere."""
PAYLOAD = "x" * int(os.environ.get("PEER_PAYLOAD_BYTES", "1024"))
WINDOW = 500
"""Publishes in flight, where a library's client can have several."""

_FIFO = FOLDER / "ticks"
_tick_end: list[int] = []


def tick() -> None:
    """Say that one job is done."""
    if not _tick_end:
        _tick_end.append(os.open(_FIFO, os.O_WRONLY))
    os.write(_tick_end[0], b".")


class _Counter:
    """Reads ticks in a thread of its own, which sleeps in the kernel between them."""

    def __init__(self) -> None:
        # Both ends: the FIFO never reads as ended while workers come and go.
        self._end = os.open(_FIFO, os.O_RDWR)
        self._left = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="ticks", daemon=True).start()

    def expect(self, jobs: int) -> None:
        with self._lock:
            self._left = jobs
            self._over.clear()

    def wait(self, seconds: float) -> bool:
        return self._over.wait(seconds)

    def _read(self) -> None:
        while True:
            seen = len(os.read(self._end, 65536))
            with self._lock:
                self._left -= seen
                if self._left <= 0:
                    self._over.set()


def serve(produce: Callable[[int], None], versions: dict[str, str]) -> None:
    """Answer each line `{"jobs": n}` with the seconds from the first publish to the last job's end."""
    counter = _Counter()
    _say({"ready": versions})
    for line in sys.stdin:
        asked = json.loads(line)
        counter.expect(asked["jobs"])
        started = time.perf_counter()
        produce(asked["jobs"])
        published = time.perf_counter() - started
        done = counter.wait(asked["seconds"])
        _say({"seconds": time.perf_counter() - started if done else None, "published": published})


def serve_async(
    connect: Callable[[], Awaitable[None]],
    produce: Callable[[int], Awaitable[None]],
    versions: dict[str, str],
) -> None:
    """The same for a library of coroutines, on uvloop as its own worker would be."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(connect())
        serve(lambda jobs: runner.run(produce(jobs)), versions)


async def in_windows(publish: Callable[[], Awaitable[object]], jobs: int) -> None:
    """Publish with `WINDOW` calls in flight."""
    for at in range(0, jobs, WINDOW):
        await asyncio.gather(*(publish() for _ in range(min(WINDOW, jobs - at))))


def _say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
