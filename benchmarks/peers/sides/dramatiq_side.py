"""Dramatiq on Redis: one worker process of eight threads, its default per process.

Acks after the job; a dead worker's jobs are given out again by its heartbeat.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from ticks import PAYLOAD, URL, RESULTS_URL, serve, tick

broker = RedisBroker(url=URL)
if RESULTS_URL:
    broker.add_middleware(Results(backend=RedisBackend(url=RESULTS_URL)))
dramatiq.set_broker(broker)
OPTIONS = {"store_results": True} if RESULTS_URL else {}


@dramatiq.actor(**OPTIONS)
def noop(prompt: str) -> None:
    tick()


def produce(jobs: int) -> None:
    for _ in range(jobs):
        noop.send(PAYLOAD)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.execv(
            sys.executable,
            [sys.executable, "-m", "dramatiq", "dramatiq_side", "--processes=1", "--threads=8"],
        )
    serve(produce, {name: version(name) for name in ("dramatiq", "redis", "hiredis")})
