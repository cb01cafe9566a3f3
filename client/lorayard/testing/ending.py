"""How a job of a yard in memory ends: its one result, its dead letter, its next attempt.

The durable moves are those of docs/job-lifecycle.md, made by the same publishes under the same guards.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lorayard.testing.memory_payloads import keep_text
from lorayard.testing.memory_queue import Waiting
from lorayard.testing.memory_server import MemoryServer
from lorayard.testing.memory_stream import StreamRefusedError
from lorayard_schemas import headers
from lorayard_schemas.attempt import AttemptRecord, history_text, read_history
from lorayard_schemas.codec import encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.result import ErrorKind, JobResult, ResultError, ResultState
from lorayard_schemas.retry import Retry
from lorayard_shared.jobs.dead_letters import letter_of
from lorayard_shared.jobs.retry_policy import RetryPolicy, wait_seconds

WORKER: Final = "memory"
"""The name of the one worker there is."""

USUAL = RetryPolicy(max_attempts=3, base_seconds=1.0, cap_seconds=60.0, dead_letter=True)
"""What a real yard's settings say unless they are changed."""

NAPS = RetryPolicy(max_attempts=1, base_seconds=1.0, cap_seconds=15.0, dead_letter=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of one run, as a drain reports it."""

    job_id: str
    tenant: str
    state: ResultState | None
    """None: it comes again, or another end was first."""
    attempt: int
    code: str | None = None
    """Of a run that failed."""
    again_in_seconds: float | None = None
    """Until it comes again; None: it does not."""

    def __str__(self) -> str:
        """One line for people."""
        said = f"job {self.job_id} of {self.tenant}, attempt {self.attempt}: {self.state or 'no end'}"
        why = "" if self.code is None else f" ({self.code})"
        return (
            said + why + ("" if self.again_in_seconds is None else f", again in {self.again_in_seconds:g} s")
        )


class Ending:
    """Every method is called under the server's lock."""

    def __init__(self, server: MemoryServer, *, waits: bool) -> None:
        """`waits`: an attempt that failed waits for its time; otherwise the next follows at once."""
        self._server = server
        self._waits = waits
        self._draws = random.Random(0)  # the same waits in every run of a test

    def has_result(self, tenant: str, job: str) -> bool:
        """Whether it has ended."""
        results = self._server.stream("results")
        return results.last(self._server.settings.subjects.result(tenant, job)) is not None

    def store(self, tenant: str, job: str, state: ResultState, **told: Any) -> bool:
        """Store a result; whether it counts, or another one was first."""
        result = JobResult(job=job, tenant=tenant, state=state, finished_at=self._server.clock.now, **told)
        body = encode(result)
        if len(body) > INLINE_BYTES and result.text is not None:
            name = hashlib.sha256(f"{tenant}\0{job}\0{result.text}".encode()).hexdigest()
            ref = keep_text(self._server, f"result-{name}", result.text)
            body = encode(result.model_copy(update={"text": None, "text_ref": ref}))
        settings = self._server.settings
        head = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0", headers.TTL: str(settings.result_ttl_seconds)}
        try:
            self._server.store(settings.subjects.result(tenant, job), head, body)
        except StreamRefusedError:
            return False
        return True

    def again(self, one: Waiting, job: str, record: AttemptRecord, asked: Retry | None) -> float | None:
        """Schedule the next attempt, if there is one; how long it waits."""
        policy, attempt = USUAL.over(asked), attempt_of(one)
        if attempt >= policy.max_attempts:
            return None
        history = read_history(one.kept.headers.get(headers.HISTORY))
        last = history[-1].waited_seconds if history else None
        drawn = wait_seconds(policy, last, self._draws.random())
        wait = self._in_time(one, round(drawn, 3)) if self._waits else 0.0
        told = (*history, record.model_copy(update={"waited_seconds": wait}))
        head = {headers.ATTEMPT: str(attempt + 1), headers.HISTORY: history_text(told)}
        self._schedule(one, job, f"attempt-{attempt + 1}", wait, head)
        return wait

    def snooze(self, one: Waiting, job: str) -> float:
        """Schedule the same attempt again; how long it waits, also in an inline yard."""
        times = int(one.kept.headers.get(headers.SNOOZED, "0").partition(" ")[0])
        wait = self._in_time(one, round(wait_seconds(NAPS, 2.0 ** min(times, 10), self._draws.random()), 3))
        head = {
            headers.ATTEMPT: str(attempt_of(one)),
            headers.SNOOZED: f"{times + 1} {self._server.clock.now:.3f}",
        }
        if (history := one.kept.headers.get(headers.HISTORY)) is not None:
            head[headers.HISTORY] = history
        self._schedule(
            one, job, f"attempt-{attempt_of(one)}-snooze-{times + 1}-{one.kept.sequence}", wait, head
        )
        return wait

    def bury(
        self, one: Waiting, job: str, error: ResultError, attempts: Sequence[AttemptRecord], deliveries: int
    ) -> None:
        """Leave the job's dead letter; an older one of its id makes way."""
        stream, sequence = one.place
        letter = letter_of(
            subject=one.kept.subject.replace(".due.", ".jobs.", 1),
            address=one.address,
            job=job,
            key=f"{stream}-{sequence}",
            body=one.kept.body,
            code=error.code,
            reason=error.message,
            deliveries=deliveries,
            attempts=attempts,
        ).model_copy(update={"at": self._server.clock.now})
        subject = self._server.settings.subjects.dead_letter(one.address.tenant, one.address.adapter, job)
        dead = self._server.stream("dead")
        if (before := dead.last(subject)) is not None:
            dead.remove(before.sequence)
        self._server.store(subject, {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0"}, encode(letter))

    def _schedule(self, one: Waiting, job: str, name: str, wait: float, told: dict[str, str]) -> None:
        subjects = self._server.settings.subjects
        at = datetime.fromtimestamp(self._server.clock.now + wait, UTC)
        subject = subjects.delayed_job(one.address.tenant, job)
        head = {
            headers.MSG_ID: f"{subject}-{name}",
            headers.SCHEDULE: f"@at {at.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
            headers.SCHEDULE_TARGET: subjects.due_job(one.address),
            **told,
        }
        with suppress(StreamRefusedError):  # this attempt is scheduled already
            self._server.store(subject, head, one.kept.body)

    def _in_time(self, one: Waiting, wait: float) -> float:
        """No longer than until its deadline."""
        try:
            deadline = read_job(one.kept.body).deadline
        except MalformedMessageError:
            return wait
        return wait if deadline is None else max(0.0, min(wait, deadline - self._server.clock.now))


def attempt_of(one: Waiting) -> int:
    """Which one a message is."""
    return int(one.kept.headers.get(headers.ATTEMPT, "1"))


def failure(
    code: str, message: str, *, kind: ErrorKind = ErrorKind.RETRYABLE, field: str | None = None
) -> ResultError:
    """As a result tells it."""
    return ResultError(kind=kind, code=code, message=message, field=field)
