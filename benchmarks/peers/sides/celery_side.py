"""Celery on Redis: one producer connection, a prefork worker of as many processes as cores.

Acks early, which is Celery's default: a job that was running when its worker died is lost.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from celery import Celery
from ticks import PAYLOAD, URL, RESULTS_URL, serve, tick

app = Celery("celery_side", broker=URL, backend=RESULTS_URL)
# Celery's own advice for short jobs is to prefetch many, 64 or 128; the default is 4.
app.conf.update(
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
    task_ignore_result=RESULTS_URL is None,
)


@app.task(name="noop")
def noop(prompt: str) -> None:
    tick()


def produce(jobs: int) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(jobs):
            noop.apply_async((PAYLOAD,), producer=producer)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        pool = os.environ.get("PEER_POOL", "prefork")
        options = (
            "--without-gossip",
            "--without-mingle",
            "--loglevel=WARNING",
            f"--pool={pool}",
            "--concurrency=2",
        )
        os.execv(sys.executable, [sys.executable, "-m", "celery", "-A", "celery_side", "worker", *options])
    serve(produce, {name: version(name) for name in ("celery", "kombu", "redis")})
