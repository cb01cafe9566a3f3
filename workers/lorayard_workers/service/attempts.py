"""What follows from a failed run: another attempt, the same one later, or the end with a dead letter."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.attempt import AttemptRecord, read_history
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.failure import is_not_now
from lorayard_schemas.plain_job import read_job
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.result_store import Stored
from lorayard_shared.jobs.dead_letters import DeadLetters, letter_of
from lorayard_shared.jobs.retry_policy import RetryPolicy, RetryWishes, wait_seconds
from lorayard_shared.logs import Event
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.retry import (
    SNOOZE_BASE_SECONDS,
    SNOOZE_CAP_SECONDS,
    read_snoozed,
    schedule_attempt,
    schedule_snooze,
)

if TYPE_CHECKING:
    from lorayard_workers.settings import WorkerSettings

_NAPS = RetryPolicy(
    max_attempts=1, base_seconds=SNOOZE_BASE_SECONDS, cap_seconds=SNOOZE_CAP_SECONDS, dead_letter=False
)


class Attempts:
    """Decides for the jobs of one worker. Nothing here is asked for a job that succeeds."""

    def __init__(self, bus: Bus, *, worker: str, usual: RetryPolicy, snooze_seconds: float) -> None:
        """`usual`: where neither job nor tenant says otherwise; `snooze_seconds`: for so long in all an
        attempt is put off, then it counts as failed."""
        self._bus = bus
        self._worker = worker
        self._usual = usual
        self._snooze_seconds = snooze_seconds
        self._wishes = RetryWishes(bus)
        self._letters = DeadLetters(bus)
        self._log = structlog.get_logger().bind(worker=worker)

    async def again(self, held: HeldJob, failed: Failed) -> bool:
        """Whether the job comes again by itself: it is scheduled, and may be acked.

        Raises:
            nats.errors.Error: the bus did not take it; the caller still holds the lease.
        """
        if is_not_now(failed.code) and await self._snooze(held, failed):
            return True
        if failed.kind is not FailureKind.RETRYABLE:
            return False
        policy = await self._policy(held)
        if held.assigned.attempt >= policy.max_attempts:
            return False
        history = read_history(held.assigned.history)
        last = history[-1].waited_seconds if history else None
        wait = self._in_time(held, wait_seconds(policy, last, random.random()))  # jitter, not secrecy
        record = self.record(held, failed).model_copy(update={"waited_seconds": round(wait, 3)})
        await schedule_attempt(self._bus, held, (*history, record), wait)
        self._log.warning(
            Event.JOB_RETRIED, code=failed.code, in_seconds=round(wait, 1), **held.told, **held.traced
        )
        return True

    async def bury(self, held: HeldJob, failed: Failed) -> int | None:
        """Leave the dead letter of a job that is given up, if it is to have one; returns its sequence.

        Before its result is stored: a crash between the two has it run again, never forgotten.

        Raises:
            nats.errors.Error, nats.js.errors.Error: the bus did not take it.
        """
        if failed.kind is not FailureKind.RETRYABLE or not (await self._policy(held)).dead_letter:
            return None
        assigned = held.assigned
        return await self._letters.bury(
            letter_of(
                subject=assigned.subject,
                address=held.address,
                job=held.job,
                key=held.key,
                body=assigned.body,
                code=failed.code,
                reason=failed.message,
                deliveries=assigned.deliveries,
                attempts=(*read_history(assigned.history), self.record(held, failed)),
            )
        )

    async def stored(self, became: Stored, letter: int | None) -> None:
        """What became of its result: where another was there first, the job was not given up."""
        if letter is not None and became is Stored.BEFORE:
            with suppress(nats.errors.Error, nats.js.errors.Error):  # then a redrive finds the result
                await self._letters.take_back(letter)

    def record(self, held: HeldJob, failed: Failed) -> AttemptRecord:
        """The failure, for the history."""
        return AttemptRecord(
            attempt=held.assigned.attempt,
            worker=self._worker,
            code=failed.code,
            message=failed.message,
            at=time.time(),
        )

    async def _snooze(self, held: HeldJob, failed: Failed) -> bool:
        now = time.time()
        before = read_snoozed(held.assigned.snoozed, now)
        left = self._snooze_seconds - (now - before.since)
        if left <= 0:
            return False
        last = SNOOZE_BASE_SECONDS * 2.0 ** min(before.times, 10)
        wait = self._in_time(held, min(left, wait_seconds(_NAPS, last, random.random())))
        await schedule_snooze(self._bus, held, before, wait)
        self._log.info(
            Event.JOB_SNOOZED, code=failed.code, in_seconds=round(wait, 1), **held.told, **held.traced
        )
        return True

    async def _policy(self, held: HeldJob) -> RetryPolicy:
        return self._usual.over(*await self._wishes.of(held.assigned.body, held.address.tenant))

    def _in_time(self, held: HeldJob, wait: float) -> float:
        """No longer than until its deadline, when whoever waits for it is to hear that it has passed."""
        try:
            deadline = read_job(held.assigned.body).deadline
        except MalformedMessageError:
            return wait
        return wait if deadline is None else max(0.0, min(wait, deadline - time.time()))


def usual_policy(settings: WorkerSettings) -> RetryPolicy:
    """What a worker's settings say."""
    return RetryPolicy(
        max_attempts=settings.max_attempts,
        base_seconds=settings.retry_base_seconds,
        cap_seconds=max(settings.retry_base_seconds, settings.retry_cap_seconds),
        dead_letter=settings.dead_letters,
    )
