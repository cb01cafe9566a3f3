"""FastStream on a Redis stream with a consumer group, 100 messages a read: one worker process on uvloop.

A message framework, not a job queue: it acks each message and keeps no result.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.metadata import version

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from ticks import PAYLOAD, URL, WINDOW, serve_async, tick

broker = RedisBroker(URL, logger=None)
app = FastStream(broker)
clients: list[Redis] = []


@broker.subscriber(stream=StreamSub("noop", group="noop", consumer="1", max_records=100))
async def noop(prompt: str) -> None:
    tick()


async def produce(jobs: int) -> None:
    for at in range(0, jobs, WINDOW):
        pipeline = clients[0].pipeline(transaction=False)
        for _ in range(min(WINDOW, jobs - at)):
            await broker.publish(PAYLOAD, stream="noop", pipeline=pipeline)
        await pipeline.execute()


async def connect() -> None:
    clients.append(await broker.connect())
    with suppress(ResponseError):  # the worker was first
        await clients[0].xgroup_create("noop", "noop", id="0", mkstream=True)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.execv(sys.executable, [sys.executable, "-m", "faststream", "run", "faststream_redis_side:app"])
    serve_async(connect, produce, {name: version(name) for name in ("faststream", "redis", "hiredis")})
