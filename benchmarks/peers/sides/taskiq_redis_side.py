"""Taskiq on a Redis stream: one worker process, 100 jobs at once as by default, on uvloop.

Acks when the result is saved; what a dead worker held is reclaimed when idle.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker
from ticks import PAYLOAD, URL, RESULTS_URL, in_windows, serve_async, tick

broker = RedisStreamBroker(url=URL)
if RESULTS_URL:
    broker = broker.with_result_backend(RedisAsyncResultBackend(redis_url=RESULTS_URL, result_ex_time=3600))


@broker.task(task_name="noop")
async def noop(prompt: str) -> None:
    tick()


async def produce(jobs: int) -> None:
    await in_windows(lambda: noop.kiq(PAYLOAD), jobs)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        options = ("--workers=1", "--log-level=WARNING")
        os.execv(
            sys.executable, [sys.executable, "-m", "taskiq", "worker", "taskiq_redis_side:broker", *options]
        )
    serve_async(
        broker.startup,
        produce,
        {name: version(name) for name in ("taskiq", "taskiq-redis", "redis", "hiredis")},
    )
