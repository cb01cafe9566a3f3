"""FastStream on a JetStream stream on file, by pulls of 100: one worker process on uvloop.

A message framework, not a job queue: it acks each message after its handler. It keeps no result unless the
handler's answer is published to a second stream, which it then waits for.

One message after the other: with 10 and with 100 at once (`max_workers`) it was a third to a half slower.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from ticks import PAYLOAD, RESULTS_URL, URL, in_windows, serve_async, tick

stream = JStream("noop", subjects=["noop"])
broker = NatsBroker(URL, logger=None)
app = FastStream(broker)


async def noop(prompt: str) -> str:
    tick()
    return "done"


if RESULTS_URL is not None:
    noop = broker.publisher("results", stream=JStream("results", subjects=["results"]))(noop)
noop = broker.subscriber("noop", stream=stream, durable="noop", pull_sub=PullSub(batch_size=100))(noop)


async def produce(jobs: int) -> None:
    await in_windows(lambda: broker.publish(PAYLOAD, "noop", stream="noop"), jobs)


async def connect() -> None:
    connection = await broker.connect()
    await connection.jetstream().add_stream(name="noop", subjects=["noop"])  # as the worker would


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.execv(sys.executable, [sys.executable, "-m", "faststream", "run", "faststream_side:app"])
    serve_async(connect, produce, {name: version(name) for name in ("faststream", "nats-py")})
