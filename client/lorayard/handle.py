"""A job that was submitted: wait for it, look at it, cancel it; from any process that knows its id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats.errors
import nats.js.errors

from lorayard.deadlines import sooner
from lorayard.errors import (
    BusUnavailableError,
    JobTimeoutError,
    ResultTextMissingError,
    UnreadableRecordError,
)
from lorayard.result import Result, from_wire, raise_unless_succeeded
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.result import JobResult
from lorayard_shared.errors import PayloadMissingError

if TYPE_CHECKING:
    from lorayard.job_status import JobStatus
    from lorayard.link import Link
    from lorayard.listener import Slot
    from lorayard.streaming.events import JobEvent
    from lorayard_schemas.assignment import CancelOutcome


class JobHandle:
    """One job. `await handle` is `await handle.result()`."""

    __slots__ = ("_link", "_outcome", "_slot", "existing")

    def __init__(self, link: Link, slot: Slot, *, existing: bool = False) -> None:
        self._link = link
        self._slot = slot
        self._outcome: Result | None = None
        self.existing = existing
        """Whether the yard had this job before: submitted under the same idempotency key."""

    @property
    def id(self) -> str:
        """Enough to make this handle again: `client.handle(id)`."""
        return self._slot.job_id

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r})"

    def __await__(self) -> Generator[Any, Any, Result]:
        return self.result().__await__()

    async def result(self, timeout_seconds: float | None = None) -> Result:
        """The answer.

        Raises:
            JobFailedError, JobCancelledError, JobExpiredError: there will be none; `.result` tells the rest.
            JobTimeoutError: it is not there yet; the job goes on.
            ClientClosedError: the client was closed meanwhile; the job goes on.
            YardNotReadyError: there is no yard.
        """
        return raise_unless_succeeded(await self.outcome(timeout_seconds))

    async def outcome(self, timeout_seconds: float | None = None) -> Result:
        """How the job ended, well or not; raises only when that cannot be told.

        Raises:
            JobTimeoutError: it has not ended yet.
            YardNotReadyError: there is no yard.
            UnreadableRecordError, ResultTextMissingError: what is stored is broken.
        """
        if self._outcome is None:
            body = self._slot.body
            wire = None if body is None else self._decode(body)
            if wire is not None and wire.text_ref is None:  # nothing to wait for: no timer either
                self._outcome = from_wire(wire, wire.text or "")
            elif (seconds := sooner(timeout_seconds)) is None:
                self._outcome = await self._awaited(wire)
            else:
                async with _limit(self.id, seconds):
                    self._outcome = await self._awaited(wire)
        return self._outcome

    async def done(self) -> bool:
        """Whether the job has ended, as the yard knows it.

        Raises:
            BusUnavailableError: nobody answers.
            YardNotReadyError: there is no yard.
        """
        try:
            return await self._link.listener.look(self._slot) is not None
        except nats.errors.Error as error:
            raise _unavailable(self._link, error) from error

    async def status(self) -> JobStatus:
        """Where the job is now, and what it waits for.

        Of an id that the yard never had `place` is `UNKNOWN`.

        Raises:
            BusUnavailableError: nobody answers.
            YardNotReadyError: there is no yard.
        """
        from lorayard.status import ask_status  # what it reads is needed by nothing else

        return await ask_status(self._link, self.id)

    def events(self, *, after: int = 0, timeout_seconds: float | None = None) -> AsyncGenerator[JobEvent]:
        """What happens to the job, as it happens, until it has ended: `async for event in handle.events()`.

        `after` is the `sequence` of an event: what came behind it, here or in any other process. Where the
        yard does not know any more what the reader has, it begins with a `RESTARTED`. A job that was not
        submitted with `stream=True` has its text in one piece, just before it ends.

        Raises:
            InvalidRequestError: `after` is no sequence.
            JobTimeoutError: the job has not ended in the time given; it goes on.
            ClientClosedError: the client was closed meanwhile.
            YardNotReadyError, UnreadableRecordError, ResultTextMissingError: as `outcome`.
        """
        from lorayard.streaming.follower import Follower, checked_after  # only readers of streams need it

        return Follower(self._link, self, after=checked_after(after)).follow(sooner(timeout_seconds))

    def text_stream(self, *, timeout_seconds: float | None = None) -> AsyncGenerator[str]:
        """The answer in pieces as it is written; together they are the result's text.

        Raises:
            JobFailedError, JobCancelledError, JobExpiredError: at the end, when there is no answer.
            StreamRestartedError: the job was begun anew, and goes on differently from what was given out.
            JobTimeoutError, ClientClosedError, YardNotReadyError: as `events`.
        """
        from lorayard.streaming.pieces import pieces

        return pieces(self, sooner(timeout_seconds))

    async def cancel(self) -> CancelOutcome:
        """End the job, queued, waiting for its time, or running; also while no dispatcher lives.

        Raises:
            YardRefusedError: a dispatcher did, and answered with an error.
            BusUnavailableError: the bus is away.
        """
        from lorayard.cancel import cancel_job
        from lorayard.link import NOT_CONFIRMED

        came_of_it = NOT_CONFIRMED
        try:
            outcome = await cancel_job(self._link, self.id)
            came_of_it = outcome.value
        finally:
            await self._link.tell_act("cancel", tenant=self._link.tenant, job=self.id, about=came_of_it)
        return outcome

    async def _awaited(self, wire: JobResult | None) -> Result:
        wire = wire or self._decode(await self._link.listener.wait(self._slot))
        return from_wire(wire, await self._text(wire))

    def _decode(self, body: bytes) -> JobResult:
        try:
            return decode(JobResult, body)
        except MalformedMessageError as error:
            raise UnreadableRecordError(place=f"the result of job {self.id}", reason=str(error)) from error

    async def _text(self, wire: JobResult) -> str:
        if wire.text_ref is None:
            return wire.text or ""
        try:
            return await self._link.payloads.get(wire.text_ref)
        except (PayloadMissingError, nats.js.errors.NotFoundError) as error:
            raise ResultTextMissingError(job_id=self.id, reason=str(error)) from error
        except nats.errors.Error as error:
            raise _unavailable(self._link, error) from error


@asynccontextmanager
async def _limit(job_id: str, timeout_seconds: float) -> AsyncGenerator[None]:
    # Only our own clock becomes a JobTimeoutError: a TimeoutError from inside stays what it is.
    limit = asyncio.timeout(timeout_seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise JobTimeoutError(job_id=job_id, timeout_seconds=timeout_seconds) from error


def _unavailable(link: Link, error: Exception) -> BusUnavailableError:
    reason = str(error).removeprefix("nats: ") or type(error).__name__
    return BusUnavailableError(url=link.settings.url, reason=reason)
