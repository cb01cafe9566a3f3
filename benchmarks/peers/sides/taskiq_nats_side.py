"""Taskiq on a JetStream work queue by pulls, on file: one worker process, 100 jobs at once as by default."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from nats.js.api import ConsumerConfig, StreamConfig
from taskiq_nats import PullBasedJetStreamBroker
from taskiq_redis import RedisAsyncResultBackend
from ticks import PAYLOAD, RESULTS_URL, URL, in_windows, serve_async, tick

broker = PullBasedJetStreamBroker(
    servers=[URL],
    subject="noop",
    queue="noop",
    stream_config=StreamConfig(name="noop", subjects=["noop"]),
    pull_consume_batch=100,
    consumer_config=ConsumerConfig(durable_name="noop", max_ack_pending=1000),
)
# Its own store of results, an object store, was a third as fast.
if RESULTS_URL is not None:
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
            sys.executable, [sys.executable, "-m", "taskiq", "worker", "taskiq_nats_side:broker", *options]
        )
    serve_async(
        broker.startup, produce, {name: version(name) for name in ("taskiq", "taskiq-nats", "nats-py")}
    )
