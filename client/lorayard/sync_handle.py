"""A job's handle for code without an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorayard.handle import JobHandle
from lorayard.loop_thread import LoopThread
from lorayard.result import Result
from lorayard.streaming.events import JobEvent
from lorayard_schemas.assignment import CancelOutcome

if TYPE_CHECKING:
    from lorayard.job_status import JobStatus


class SyncJobHandle:
    """`JobHandle`, blocking."""

    __slots__ = ("_handle", "_thread")

    def __init__(self, thread: LoopThread, handle: JobHandle) -> None:
        self._thread = thread
        self._handle = handle

    @property
    def inner(self) -> JobHandle:
        """The handle on the client's own loop."""
        return self._handle

    @property
    def id(self) -> str:
        """Enough to make this handle again: `client.handle(id)`."""
        return self._handle.id

    @property
    def existing(self) -> bool:
        """Whether the yard had this job before: submitted under the same idempotency key."""
        return self._handle.existing

    def __repr__(self) -> str:
        return f"SyncJobHandle({self.id!r})"

    def result(self, timeout_seconds: float | None = None) -> Result:
        """The answer; raises as `JobHandle.result` does."""
        return self._thread.call(self._handle.result(timeout_seconds))

    def outcome(self, timeout_seconds: float | None = None) -> Result:
        """How the job ended, well or not; raises as `JobHandle.outcome` does."""
        return self._thread.call(self._handle.outcome(timeout_seconds))

    def done(self) -> bool:
        """Whether the job has ended, as the yard knows it."""
        return self._thread.call(self._handle.done())

    def status(self) -> JobStatus:
        """Where the job is now, and what it waits for; raises as `JobHandle.status` does."""
        return self._thread.call(self._handle.status())

    def events(self, *, after: int = 0, timeout_seconds: float | None = None) -> Iterator[JobEvent]:
        """What happens to the job until it has ended; raises as `JobHandle.events` does."""
        return self._thread.iterate(self._handle.events(after=after, timeout_seconds=timeout_seconds))

    def text_stream(self, *, timeout_seconds: float | None = None) -> Iterator[str]:
        """The answer in pieces as it is written; raises as `JobHandle.text_stream` does."""
        return self._thread.iterate(self._handle.text_stream(timeout_seconds=timeout_seconds))

    def cancel(self) -> CancelOutcome:
        """End the job, queued or running; raises as `JobHandle.cancel` does."""
        return self._thread.call(self._handle.cancel())
