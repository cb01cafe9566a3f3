"""arq on Redis: one worker process, 10 jobs at once as by default; it stores every result.

It looks for jobs every 10 ms and reads up to 500; with its defaults, 0.5 s and 100, it does 200 a second.

At least once: a job whose worker died runs again when its lock has run out.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from arq import create_pool, run_worker
from arq.connections import ArqRedis, RedisSettings
from ticks import PAYLOAD, URL, in_windows, serve_async, tick

pools: list[ArqRedis] = []


async def noop(context: dict[str, object], prompt: str) -> None:
    tick()


class WorkerSettings:
    functions = (noop,)
    redis_settings = RedisSettings.from_dsn(URL)
    max_jobs = int(os.environ.get("PEER_CONCURRENCY", "10"))
    poll_delay = float(os.environ.get("PEER_POLL", "0.01"))
    queue_read_limit = int(os.environ.get("PEER_READ", "500"))


async def connect() -> None:
    settings = RedisSettings.from_dsn(URL)
    settings.max_connections = 1000
    pools.append(await create_pool(settings))


async def produce(jobs: int) -> None:
    await in_windows(lambda: pools[0].enqueue_job("noop", PAYLOAD), jobs)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        run_worker(WorkerSettings)
    else:
        serve_async(connect, produce, {name: version(name) for name in ("arq", "redis", "hiredis")})
