"""Jobs that end without being run: refused, expired, cancelled, poison, unreadable.

A job with a readable id is always answered with a result; only what cannot be answered becomes a dead letter.
The delivery is acked after the answer is stored, never before.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas import headers
from lorayard_schemas.codec import encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.names import CHOOSE
from lorayard_schemas.result import ErrorKind, JobResult, ResultError, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.bus.result_store import ResultStore, Stored
from lorayard_shared.jobs.intake import Unreadable, dead_tenant
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.jobs.unschedule import unschedule
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event

DEAD_BODY_BYTES = 512 * 1024
"""As much of an unreadable message as its dead letter keeps: a letter has to fit a message of 1 MiB."""


class Answers:
    """Stores what there is to say, then lets go of the job."""

    def __init__(self, bus: Bus, results: ResultStore, leases: LeaseKeeper) -> None:
        self._bus = bus
        self._results = results
        self._leases = leases
        self._log = structlog.get_logger()
        self.count = 0

    async def refuse(self, job: TakenJob, error: ResultError) -> None:
        """A failed result that names what is wrong."""
        self._log.info(Event.JOB_REFUSED, job=job.job, tenant=job.address.tenant, code=error.code)
        await self._finish(job, ResultState.FAILED, error)

    async def expire(self, job: TakenJob) -> None:
        """Its deadline has passed: it never runs."""
        self._log.info(Event.JOB_EXPIRED, job=job.job, tenant=job.address.tenant)
        await self._finish(job, ResultState.EXPIRED, None)

    async def cancel(self, job: TakenJob) -> Stored:
        """Ended on demand."""
        self._log.info(Event.JOB_CANCELLED, job=job.job, tenant=job.address.tenant)
        return await self._finish(job, ResultState.CANCELLED, None)

    async def let_go(self, job: TakenJob) -> None:
        """It has its one answer already."""
        with self._lease_kept(job.lease):
            await self._ack(job.lease)

    async def cancel_unseen(self, tenant: str, job: str) -> Stored:
        """Cancel a job that is not here (yet): its one result is taken, so no later run can answer.

        One that waits for its time is withdrawn: it may come when the result is forgotten again.
        """
        stored = await self._store(tenant, job, ResultState.CANCELLED, None, 1)
        await unschedule(self._bus, tenant, job)
        return stored

    async def let_go_if_answered(self, job: TakenJob) -> bool:
        """Ack a job that has its result already; whether it had."""
        if not await self._results.has(job.address.tenant, job.job):
            return False
        await self.let_go(job)
        return True

    async def unreadable(self, found: Unreadable) -> None:
        """Answer it if it says which job it is; else keep it as a dead letter."""
        self._log.warning(
            Event.MESSAGE_MALFORMED, subject=found.subject, field=found.field, reason=found.reason
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
            await self._store(found.address.tenant, found.job, ResultState.FAILED, error, 1)
        else:
            await self._bury(found)

    async def _finish(self, job: TakenJob, state: ResultState, error: ResultError | None) -> Stored:
        with self._lease_kept(job.lease):
            stored = await self._store(job.address.tenant, job.job, state, error, job.attempt)
            await self._ack(job.lease)
        return stored

    async def _store(
        self, tenant: str, job: str, state: ResultState, error: ResultError | None, attempt: int
    ) -> Stored:
        stored = await self._results.store(
            JobResult(
                job=job,
                tenant=tenant,
                state=state,
                error=error,
                attempt=attempt,
                finished_at=time.time(),
            )
        )
        if stored is Stored.NOW:
            self.count += 1
        return stored

    async def _bury(self, found: Unreadable) -> None:
        letter = DeadLetter(
            subject=found.subject,
            sequence=found.delivery.sequence,
            code="malformed_job",
            reason=found.reason,
            field=found.field or None,
            deliveries=found.delivery.deliveries,
            body=found.body[:DEAD_BODY_BYTES],
            truncated=len(found.body) > DEAD_BODY_BYTES,
            at=time.time(),
        )
        subject = f"{self._bus.settings.prefix}.dead.{dead_tenant(found.subject)}.{CHOOSE}"
        # The message id makes a second burial, after a lost answer, a duplicate.
        await self._bus.js.publish(
            subject, encode(letter), headers={headers.MSG_ID: f"dead-{found.delivery.key}"}
        )
        self._log.warning(Event.JOB_DEAD, subject=found.subject, sequence=found.delivery.sequence)

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
