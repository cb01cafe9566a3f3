"""SAQ on Redis: one worker process, 10 jobs at once as by default; it stores every result.

At least once: the sweeper gives a dead worker's jobs out again.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from saq import Queue
from ticks import PAYLOAD, URL, in_windows, serve_async, tick

queue = Queue.from_url(URL)


async def noop(context: dict[str, object], *, prompt: str) -> None:
    tick()


settings = {"queue": queue, "functions": [noop], "concurrency": int(os.environ.get("PEER_CONCURRENCY", "10"))}


async def connect() -> None:
    await queue.connect()


async def produce(jobs: int) -> None:
    await in_windows(lambda: queue.enqueue("noop", prompt=PAYLOAD), jobs)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.execv(sys.executable, [sys.executable, "-m", "saq", "saq_side.settings", "--quiet"])
    serve_async(connect, produce, {name: version(name) for name in ("saq", "redis", "hiredis")})
