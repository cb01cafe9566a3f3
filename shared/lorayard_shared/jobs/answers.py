"""Jobs that end without being run: refused, expired, cancelled, poison, unreadable.

A job with a readable id is always answered with a result; one that is given up leaves a dead letter
beside it, and what cannot be answered is a dead letter alone. The delivery is acked after all of that, never
before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.attempt import AttemptRecord, read_history
from lorayard_schemas.codec import encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.names import CHOOSE
from lorayard_schemas.result import ErrorKind, JobResult, ResultError, ResultState
from lorayard_schemas.trace_context import UNTRACED
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.bus.result_store import PackedResult, ResultStore, Stored
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.dead_letters import DeadLetters, letter_of
from lorayard_shared.jobs.intake import Unreadable, dead_tenant
from lorayard_shared.jobs.retry_policy import RetryWishes
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.jobs.unschedule import unschedule
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event

DEAD_BODY_BYTES = 512 * 1024
"""As much of an unreadable message as its dead letter keeps: a letter has to fit a message of 1 MiB."""


OnEnd = Callable[[str, str, ResultState, int, str | None], None]
"""Tenant, job, state, attempt, and the error's code."""


def _untold(_tenant: str, _job: str, _state: ResultState, _attempt: int, _code: str | None) -> None:
    """Nobody keeps it."""


class Answers:
    """Stores what there is to say, then lets go of the job."""

    def __init__(self, bus: Bus, results: ResultStore, leases: LeaseKeeper) -> None:
        self._bus = bus
        self._results = results
        self._leases = leases
        self._letters = DeadLetters(bus)
        self._wishes = RetryWishes(bus)
        self._log = structlog.get_logger()
        self.count = 0
        self.on_end: OnEnd = _untold
        """Told of each result that is stored here."""

    async def refuse(
        self, job: TakenJob, error: ResultError, interruptions: Sequence[AttemptRecord] = ()
    ) -> None:
        """A failed result that names what is wrong, and a dead letter where another try may do better.

        `interruptions` are the deaths of workers under it, for its history.
        """
        self._log.info(
            Event.JOB_REFUSED, job=job.job, tenant=job.address.tenant, code=error.code, **job.traced
        )
        attempts = (*read_history(job.history), *interruptions)
        with self._lease_kept(job.lease):
            letter = await self._bury_job(job, error, attempts)
            became = await self._store(
                job.address.tenant,
                job.job,
                ResultState.FAILED,
                error,
                job.attempt,
                attempts,
                job.request_digest,
                job.traced,
            )
            if letter is not None and became is Stored.BEFORE:
                with suppress(nats.errors.Error, nats.js.errors.Error):  # then a redrive finds the result
                    await self._letters.take_back(letter)  # it was not given up
            await self._ack(job.lease)

    async def _bury_job(
        self, job: TakenJob, error: ResultError, attempts: Sequence[AttemptRecord]
    ) -> int | None:
        if error.kind is ErrorKind.PERMANENT or not await self._leaves_letter(job):
            return None
        letter = letter_of(
            subject=job.subject,
            address=job.address,
            job=job.job,
            key=job.key,
            body=job.body,
            code=error.code,
            reason=error.message,
            deliveries=job.deliveries,
            attempts=attempts,
        )
        return await self._letters.bury(letter)

    async def _leaves_letter(self, job: TakenJob) -> bool:
        if not job.body:
            return False  # a large one that a worker has: who has it leaves the letter
        wishes = await self._wishes.of(job.body, job.address.tenant)
        said = (wish.dead_letter for wish in wishes if wish is not None)
        return next((word for word in said if word is not None), self._bus.settings.dead_letters)

    async def end(self, job: TakenJob, state: ResultState, error: ResultError) -> None:
        """End it so; whoever asks for it has told why."""
        await self._finish(job, state, error)

    async def expire(self, job: TakenJob) -> None:
        """Its deadline has passed: it never runs."""
        self._log.info(Event.JOB_EXPIRED, job=job.job, tenant=job.address.tenant, **job.traced)
        await self._finish(job, ResultState.EXPIRED, None)

    async def cancel(self, job: TakenJob) -> Stored:
        """Ended on demand."""
        self._log.info(Event.JOB_CANCELLED, job=job.job, tenant=job.address.tenant, **job.traced)
        return await self._finish(job, ResultState.CANCELLED, None)

    async def cancel_many(self, jobs: Sequence[TakenJob]) -> dict[str, Stored]:
        """Likewise, with one breath for all; what became of each, by its id."""
        if not jobs:
            return {}
        self._log.info(Event.JOB_CANCELLED, jobs=len(jobs), tenant=jobs[0].address.tenant)
        try:
            stored = await self._results.try_together([self._cancelled(job) for job in jobs])
        except nats.errors.Error:
            stored = [None] * len(jobs)
        done = [job for job, became in zip(jobs, stored, strict=True) if became is not None]
        await self._ack_all(done)
        for job, became in zip(jobs, stored, strict=True):
            if became is Stored.NOW:
                self.ended(job.address.tenant, job.job, ResultState.CANCELLED, job.attempt)
        # What is left meets trouble, each by itself and patiently.
        return {
            job.job: became or await self._finish(job, ResultState.CANCELLED, None)
            for job, became in zip(jobs, stored, strict=True)
        }

    def _cancelled(self, job: TakenJob) -> PackedResult:
        tenant, attempts = job.address.tenant, tuple(read_history(job.history))
        result = JobResult(
            job=job.job,
            tenant=tenant,
            state=ResultState.CANCELLED,
            attempt=job.attempt,
            attempts=attempts,
            request_digest=job.request_digest,
            correlation_id=job.traced.get("correlation_id"),
            trace_id=job.traced.get("trace_id"),
            finished_at=time.time(),
        )
        return PackedResult(tenant=tenant, job=job.job, body=encode(result))

    async def overlapped(self, job: TakenJob) -> Stored:
        """An occurrence of a schedule that came due while an earlier one was at work."""
        self._log.info(
            Event.JOB_CANCELLED,
            job=job.job,
            tenant=job.address.tenant,
            code=refusals.OVERLAPPED,
            **job.traced,
        )
        return await self._finish(job, ResultState.CANCELLED, refusals.overlapped())

    async def let_go(self, job: TakenJob) -> None:
        """It has its one answer already."""
        with self._lease_kept(job.lease):
            await self._ack(job.lease)

    async def cancel_unseen(self, tenant: str, job: str, traced: Mapping[str, str] = UNTRACED) -> Stored:
        """Cancel a job that is not here (yet): its one result is taken, so no later run can answer.

        One that waits for its time is withdrawn: it may come when the result is forgotten again. `traced` is
        what its caller knows it by, as far as somebody has seen it.
        """
        stored = await self._store(tenant, job, ResultState.CANCELLED, None, 1, traced=traced)
        await unschedule(self._bus, tenant, job)
        return stored

    async def has_result(self, tenant: str, job: str) -> bool:
        """Whether a result of it is stored, as far as anybody can say."""
        return await self._results.has(tenant, job)

    async def let_go_if_answered(self, job: TakenJob) -> bool:
        """Ack a job that has its result already; whether it had."""
        if not await self.has_result(job.address.tenant, job.job):
            return False
        await self.let_go(job)
        return True

    async def unreadable(self, found: Unreadable) -> None:
        """Answer it if it says which job it is; else keep it as a dead letter."""
        known = {} if found.job is None else {"job": found.job, **found.traced}
        self._log.warning(
            Event.MESSAGE_MALFORMED, subject=found.subject, field=found.field, reason=found.reason, **known
        )
        with self._lease_kept(found.lease):
            await self._answer_or_bury(found)
            await self._ack(found.lease)

    async def _answer_or_bury(self, found: Unreadable) -> None:
        if found.job is not None and found.address is not None:
            error = ResultError(
                kind=ErrorKind.PERMANENT,
                code="malformed_job",
                message=f"{found.field or 'body'}: {found.reason}",
                field=found.field or None,
            )
            await self._store(
                found.address.tenant, found.job, ResultState.FAILED, error, 1, traced=found.traced
            )
        else:
            await self._bury(found)

    async def _finish(self, job: TakenJob, state: ResultState, error: ResultError | None) -> Stored:
        with self._lease_kept(job.lease):
            stored = await self._store(
                job.address.tenant,
                job.job,
                state,
                error,
                job.attempt,
                read_history(job.history),
                job.request_digest,
                job.traced,
            )
            await self._ack(job.lease)
        return stored

    async def _store(
        self,
        tenant: str,
        job: str,
        state: ResultState,
        error: ResultError | None,
        attempt: int,
        attempts: Sequence[AttemptRecord] = (),
        request_digest: str | None = None,
        traced: Mapping[str, str] = UNTRACED,
    ) -> Stored:
        stored = await self._results.store(
            JobResult(
                job=job,
                tenant=tenant,
                state=state,
                error=error,
                attempt=attempt,
                attempts=tuple(attempts),
                request_digest=request_digest,
                correlation_id=traced.get("correlation_id"),
                trace_id=traced.get("trace_id"),
                finished_at=time.time(),
            )
        )
        if stored is Stored.NOW:
            self.ended(tenant, job, state, attempt, None if error is None else error.code)
        return stored

    def ended(self, tenant: str, job: str, state: ResultState, attempt: int, code: str | None = None) -> None:
        """The result of a job was stored; `code` is of its error."""
        self.count += 1
        self.on_end(tenant, job, state, attempt, code)

    async def _bury(self, found: Unreadable) -> None:
        letter = DeadLetter(
            subject=found.subject,
            sequence=found.delivery.sequence,
            job=found.job,
            code="malformed_job",
            reason=found.reason,
            field=found.field or None,
            deliveries=found.delivery.deliveries,
            body=found.body[:DEAD_BODY_BYTES],
            truncated=len(found.body) > DEAD_BODY_BYTES,
            at=time.time(),
        )
        await self._letters.bury_unreadable(letter, dead_tenant(found.subject), found.delivery.key)

    async def bury_unknown(self, letter: DeadLetter, key: str) -> None:
        """Of a message that is gone unread: nobody can be answered."""
        await self._letters.bury_unreadable(letter, CHOOSE, key)

    async def _ack_all(self, jobs: Sequence[TakenJob]) -> None:
        for job in jobs:
            with self._lease_kept(job.lease):
                await self._ack(job.lease)

    async def _ack(self, lease: str) -> None:
        try:
            await self._bus.nc.publish(lease, ACK)
        except (nats.errors.Error, nats.js.errors.Error) as error:
            # It comes again after ack_wait, and finds its result stored.
            self._log.warning(Event.BUS_FAILED, error=str(error))

    @contextmanager
    def _lease_kept(self, lease: str) -> Generator[None]:
        """However it ends, the lease is renewed no longer: what was not acked has to come again."""
        try:
            yield
        finally:
            self._leases.release(lease)
