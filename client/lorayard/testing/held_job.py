"""A job that somebody holds: the yard's own worker, or a test that plays one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorayard.testing.ending import WORKER, Ended, attempt_of, failure
from lorayard.testing.handler import Answer, Permanent, Retryable, YardJob
from lorayard_schemas import headers
from lorayard_schemas.attempt import AttemptRecord, read_history
from lorayard_schemas.codec import encode
from lorayard_schemas.failure import is_not_now
from lorayard_schemas.names import split_version
from lorayard_schemas.result import ErrorKind, JobTimings, Maker, ResultState, Usage
from lorayard_schemas.token_event import EventKind, TokenEvent

if TYPE_CHECKING:
    from lorayard.testing.memory_queue import Waiting
    from lorayard.testing.memory_worker import MemoryWorker

PIECE_CHARACTERS = 4
"""Of an answer that is streamed, at a time: as the echo engine does."""


class HeldJob:
    """One delivery of a job, under a lease. Whoever lost the lease says nothing that counts."""

    def __init__(self, worker: MemoryWorker, one: Waiting, job: YardJob) -> None:
        self._worker = worker
        self._server = worker.server
        self._one = one
        self.job = job
        """What is to be done."""
        self._told = 0
        self._told_bytes = 0

    @property
    def held(self) -> bool:
        """Whether the lease still counts: it has not run out, and the job was not cancelled."""
        with self._server.lock:
            return self._worker.queue.holds(self._one, self.job.deliveries)

    def renew(self) -> bool:
        """Keep the lease from now on, as a worker that lives does; whether it still counted."""
        with self._server.lock:
            if held := self.held:
                self._worker.queue.renew(self._one)
            return held

    def begin(self) -> None:
        """Tell that the run has begun, where the job is streamed."""
        again = self.job.attempt > 1 or self.job.deliveries > 1
        self._tell(EventKind.RESTARTED if again else EventKind.STARTED)

    def tell(self, piece: str) -> None:
        """Tell a piece of the answer, where the job is streamed."""
        length = len(piece)
        self._tell(
            EventKind.TOKENS, text=piece, index=self._told, tokens=length, offset_bytes=self._told_bytes
        )
        self._told += length
        self._told_bytes += len(piece.encode())

    def answer(self, answer: str | Answer) -> Ended:
        """End the job with its answer; what was told before of it is not told again."""
        answer = Answer(text=answer) if isinstance(answer, str) else answer
        with self._server.lock:
            if not self.held:
                return self._void()
            if (late := self._too_late(answer)) is not None:
                return late
            if self.job.request.stream:
                self._tell_rest(answer)
            request, soft = self.job.request, self.job.request.run_limit_seconds
            timed = soft is not None and answer.took_seconds >= soft
            count = answer.completion_tokens
            seconds = min(answer.took_seconds, soft) if soft is not None else answer.took_seconds
            return self._end(
                ResultState.SUCCEEDED,
                text=answer.text,
                finish_reason="time" if timed else answer.finish_reason,
                usage=Usage(
                    prompt_tokens=answer.prompt_tokens or len(self.job.prompt),
                    completion_tokens=len(answer.text) if count is None else count,
                ),
                timings=JobTimings(total_ms=1000 * seconds),
                attempts=self._history(),
                request_digest=request.request_digest,
            )

    def fail(self, error: Retryable | Permanent) -> Ended:
        """End the run: the job is tried again, put off, or given up, as its code and its policy say."""
        with self._server.lock:
            if not self.held:
                return self._void()
            told = self._record(error.code, error.message)
            if isinstance(error, Permanent):
                why = failure(error.code, error.message, kind=ErrorKind.PERMANENT, field=error.field)
                return self._end(ResultState.FAILED, error=why, attempts=(*self._history(), told))
            ending, job, one = self._worker.ending, self.job, self._one
            if is_not_now(error.code):
                wait: float | None = ending.snooze(one, job.id)
            else:
                wait = ending.again(one, job.id, told, job.request.retry)
            if wait is not None:
                self._worker.queue.ack(one)
                return self._ended(None, code=error.code, again_in_seconds=wait)
            return self.give_up(failure(error.code, error.message), told)

    def give_up(self, error: Any, *told: AttemptRecord) -> Ended:
        """End the job as failed, with a dead letter where it is to have one."""
        attempts = (*self._history(), *told)
        retry = self.job.request.retry
        if retry is None or retry.dead_letter is not False:
            self._worker.ending.bury(self._one, self.job.id, error, attempts, self.job.deliveries)
        return self._end(ResultState.FAILED, error=error, attempts=attempts)

    def hand_back(self) -> None:
        """As a worker that stops does: the job is queued again at once, and nothing is counted."""
        with self._server.lock:
            if self.held:
                self._worker.queue.give_back(self._one)

    def expire(self) -> Ended:
        """Its deadline has passed."""
        return self._end(ResultState.EXPIRED, attempts=self._history())

    def _too_late(self, answer: Answer) -> Ended | None:
        request, ends = self.job.request, self._server.clock.now + answer.took_seconds
        hard = request.run_limit_hard_seconds
        if request.deadline is not None and ends >= request.deadline:
            return self.expire()
        if hard is not None and answer.took_seconds >= hard:
            told = f"it ran for {hard:g} s, as long as it may"
            field = "run_limit_hard_seconds"
            why = failure("run_limit", told, kind=ErrorKind.PERMANENT, field=field)
            return self._end(ResultState.FAILED, error=why, attempts=self._history())
        return None

    def _tell_rest(self, answer: Answer) -> None:
        text = answer.text
        if not self._told:
            for piece in answer.pieces or [
                text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS)
            ]:
                self.tell(piece)

    def _tell(self, kind: EventKind, **told: Any) -> None:
        with self._server.lock:
            if not (self.job.request.stream and self.held):
                return
            event = TokenEvent(
                job=self.job.id,
                kind=kind,
                worker=WORKER,
                attempt=self.job.attempt,
                deliveries=self.job.deliveries,
                at=self._server.clock.now,
                **told,
            )
            subject = self._server.settings.subjects.token_events(self.job.tenant, self.job.id)
            self._server.store(subject, {}, encode(event))

    def _end(self, state: ResultState, **told: Any) -> Ended:
        name, version = split_version(self.job.adapter) if self.job.adapter else (None, None)
        if name == "base":
            name = None
        maker = Maker(
            worker=WORKER, adapter=name, version=version, rule="explicit" if self.job.adapter else "base"
        )
        error = told.get("error")
        told.setdefault("request_digest", self.job.request.request_digest)
        counts = self._worker.ending.store(
            self.job.tenant, self.job.id, state, maker=maker, attempt=self.job.attempt, **told
        )
        self._tell(EventKind.ENDED, state=state)
        self._worker.queue.ack(self._one)
        return self._ended(state if counts else None, code=None if error is None else error.code)

    def _void(self) -> Ended:
        return self._ended(None)

    def _ended(self, state: ResultState | None, **told: Any) -> Ended:
        job = self.job
        return Ended(job_id=job.id, tenant=job.tenant, state=state, attempt=job.attempt, **told)

    def _history(self) -> tuple[AttemptRecord, ...]:
        return read_history(self._one.kept.headers.get(headers.HISTORY))

    def _record(self, code: str, message: str) -> AttemptRecord:
        attempt = attempt_of(self._one)
        at = self._server.clock.now
        return AttemptRecord(attempt=attempt, worker=WORKER, code=code, message=message, at=at)
