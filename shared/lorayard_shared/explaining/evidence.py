"""What the yard knows of one job, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.audit import DecisionRecord, ReturnRecord
from lorayard_schemas.control import Pause
from lorayard_schemas.explanation import JobExplanation, Whereabouts
from lorayard_schemas.result import JobResult


class JobState(StrEnum):
    """Where a job stands."""

    FINISHED = "finished"
    PARKED = "parked"
    """A dispatcher has it."""
    HANDED_OVER = "handed_over"
    """A worker has it, as a dispatcher knows."""
    DELAYED = "delayed"
    """It waits for its time."""
    RETRYING = "retrying"
    """It failed, and waits for its next attempt."""
    GIVEN_OUT = "given_out"
    """It was given to a worker, and no dispatcher that is alive knows more."""
    QUEUED = "queued"
    """It lies in its stream, and no dispatcher has it."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job that the server puts out at its time."""

    at: float | None  # unix seconds; None: unreadable
    attempt: int = 1
    failure: AttemptRecord | None = None  # of the attempt before


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A job found in its stream."""

    stored_at: float  # unix seconds
    lane: str
    adapter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was found, read within a moment."""

    job: str
    tenant: str
    now: float  # unix seconds
    result: JobResult | None = None
    answers: tuple[JobExplanation, ...] = ()
    """One of each dispatcher that answered."""
    schedule: Schedule | None = None
    records: tuple[DecisionRecord | ReturnRecord, ...] = ()
    """As they were written."""
    workers: frozenset[str] = frozenset()
    """That are alive."""
    queued: Queued | None = None
    pause: Pause | None = None
    """Of its lane or its tenant, where it lies in its stream."""
    ack_wait_seconds: float = 15.0

    @property
    def live(self) -> JobExplanation | None:
        """What the dispatcher says that has the job."""
        return next((answer for answer in self.answers if answer.where is not Whereabouts.NOT_HERE), None)

    @property
    def decision(self) -> DecisionRecord | None:
        """The last one, of any attempt."""
        found = [record for record in self.records if isinstance(record, DecisionRecord)]
        return found[-1] if found else None

    @property
    def returned(self) -> ReturnRecord | None:
        """Its last way back from a worker, if no decision came after."""
        last = self.records[-1] if self.records else None
        return last if isinstance(last, ReturnRecord) else None

    @property
    def state(self) -> JobState:
        """What is durable decides, then what a dispatcher holds, then what was written down."""
        if self.result is not None:
            return JobState.FINISHED
        if self.live is not None:
            parked = self.live.where is Whereabouts.PARKED
            return JobState.PARKED if parked else JobState.HANDED_OVER
        if self.schedule is not None:
            return JobState.DELAYED if self.schedule.attempt == 1 else JobState.RETRYING
        if self.records:
            return JobState.GIVEN_OUT
        return JobState.UNKNOWN if self.queued is None else JobState.QUEUED
