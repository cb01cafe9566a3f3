"""Many runs on a few processes: each run is a function of its values, so they share nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Final, TypeVar

PROCESSES: Final = 2
"""What the smallest machine has that tests and benchmarks are run on: figures then take equally long."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def each(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, processes: int = PROCESSES
) -> Iterator[tuple[Task, Answer]]:
    """Every task with its answer, as they get ready. `work` must be a function of a module.

    One process is this one. Raises what `work` raises; tasks that have not begun are dropped then.
    """
    processes = min(processes, len(tasks), os.cpu_count() or 1)
    if processes <= 1:
        yield from ((task, work(task)) for task in tasks)
        return
    # Spawned: a fork would carry over threads and streams of whoever asked.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_leave_ctrl_c) as pool:
        begun: dict[Future[Answer], Task] = {pool.submit(work, task): task for task in tasks}
        try:
            for done in as_completed(begun):
                yield begun[done], done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_ctrl_c() -> None:
    """Ctrl-C is for the process that answers for all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
