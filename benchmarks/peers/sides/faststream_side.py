"""FastStream on a JetStream stream on file, by pulls of 100: one worker process on uvloop.

A message framework, not a job queue: it acks each message and keeps no result.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from ticks import PAYLOAD, URL, in_windows, serve_async, tick

stream = JStream("noop", subjects=["noop"])
broker = NatsBroker(URL, logger=None)
app = FastStream(broker)


@broker.subscriber("noop", stream=stream, durable="noop", pull_sub=PullSub(batch_size=100))
async def noop(prompt: str) -> None:
    tick()


async def produce(jobs: int) -> None:
    await in_windows(lambda: broker.publish(PAYLOAD, "noop", stream="noop"), jobs)


async def connect() -> None:
    connection = await broker.connect()
    await connection.jetstream().add_stream(name="noop", subjects=["noop"])  # as the worker would


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.execv(sys.executable, [sys.executable, "-m", "faststream", "run", "faststream_side:app"])
    serve_async(connect, produce, {name: version(name) for name in ("faststream", "nats-py")})
