"""`Schedules`, blocking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, Unpack

from lorayard.handle import JobHandle
from lorayard.registry.calls import Calls
from lorayard.registry.schedules import RecurringOptions, Schedules, ScheduleView
from lorayard.request import Prompt
from lorayard_schemas.schedule import Schedule, ScheduledRun

H = TypeVar("H")


class SyncSchedules(Generic[H]):
    """The recurring jobs of one tenant; every method raises as that of `Schedules` does."""

    def __init__(
        self, schedules: Schedules, thread: Callable[[], Calls], handle: Callable[[JobHandle], H]
    ) -> None:
        """`handle` makes the blocking twin of one."""
        self._schedules = schedules
        self._thread = thread
        self._handle = handle

    def add(
        self,
        name: str,
        prompt: Prompt,
        *,
        cron: str,
        reason: str = "",
        replacing: bool = False,
        **options: Unpack[RecurringOptions],
    ) -> Schedule:
        """Have a job come whenever a cron expression is due; see `Schedules.add`."""
        work = self._schedules.add(name, prompt, cron=cron, reason=reason, replacing=replacing, **options)
        return self._thread().call(work)

    def list(self, *, all_tenants: bool = False) -> list[ScheduleView]:
        """What there is, by name."""
        return self._thread().call(self._schedules.list(all_tenants=all_tenants))

    def get(self, name: str) -> ScheduleView:
        """One of them."""
        return self._thread().call(self._schedules.get(name))

    def remove(self, name: str, *, reason: str = "") -> None:
        """Take it away; its jobs that are due already run on."""
        self._thread().call(self._schedules.remove(name, reason=reason))

    def pause(self, name: str, *, reason: str = "") -> Schedule:
        """Have nothing come due until it is resumed."""
        return self._thread().call(self._schedules.pause(name, reason=reason))

    def resume(self, name: str, *, reason: str = "") -> Schedule:
        """Let it go on from here; what it was paused over is not made up."""
        return self._thread().call(self._schedules.resume(name, reason=reason))

    def run_now(self, name: str) -> H:
        """Submit its job once more, now, whatever else of it runs; also of one that is paused."""
        return self._handle(self._thread().call(self._schedules.run_now(name)))

    def history(self, name: str) -> tuple[ScheduledRun, ...]:
        """Its last occurrences and what became of them, the oldest first."""
        return self._thread().call(self._schedules.history(name))
