"""What both Taskiq sides share: the task that ticks, its worker process and its producer."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from taskiq import AsyncBroker
from taskiq_redis import RedisAsyncResultBackend
from ticks import PAYLOAD, RESULTS_URL, in_windows, serve_async, tick


def keep_results(broker: AsyncBroker) -> AsyncBroker:
    """For an hour, where a place for them is named."""
    if RESULTS_URL is None:
        return broker
    return broker.with_result_backend(RedisAsyncResultBackend(redis_url=RESULTS_URL, result_ex_time=3600))


def make_noop(broker: AsyncBroker) -> Any:
    """The task; typed by Taskiq in a way that no checker here follows."""

    @broker.task(task_name="noop")
    async def noop(prompt: str) -> None:
        tick()

    return noop


def run(side: str, broker: AsyncBroker, noop: Any, packages: Sequence[str]) -> None:
    """Be the worker, one process with 100 jobs at once as by default, or the producer."""
    if sys.argv[1] == "worker":
        options = ("--workers=1", "--log-level=WARNING")
        os.execv(sys.executable, [sys.executable, "-m", "taskiq", "worker", f"{side}:broker", *options])

    async def produce(jobs: int) -> None:
        await in_windows(lambda: noop.kiq(PAYLOAD), jobs)

    serve_async(broker.startup, produce, {name: version(name) for name in packages})
