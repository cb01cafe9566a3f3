"""Tasks with an owner: none is lost, none fails unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks


class OwnedTasks:
    """What was started and is not over."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed = 0
        """Tasks that ended with an error nobody expected."""

    def spawn(self, work: Coroutine[object, object, object], name: str) -> None:
        """Run something; a failure is logged, never lost."""
        task = asyncio.create_task(self._guard(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for everything under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def end(self) -> None:
        """Cancel what is still under way; none may run on to the end of the loop."""
        await end_tasks(self._tasks)

    async def _guard(self, work: Coroutine[object, object, object], name: str) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001  # one task's trouble must not end its owner
            self.failed += 1
            self._log.exception(Event.LOOP_FAILED, task=name)
