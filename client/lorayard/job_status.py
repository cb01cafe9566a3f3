"""Where a job is, as `handle.status()` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorayard_schemas.explanation import WaitReason
from lorayard_schemas.result import ResultState


class JobPlace(StrEnum):
    """Where a job is."""

    SCHEDULED = "scheduled"
    """The server lets it go at its time."""
    RETRYING = "retrying"
    """As `SCHEDULED`, after an attempt that failed, or was put off."""
    QUEUED = "queued"
    """In its stream; no dispatcher has it."""
    PARKED = "parked"
    """A dispatcher has it, and waits for a worker."""
    HELD = "held"
    """It would go, but somebody said that it must not now: a pause, a strike, a cap, a rate."""
    AT_WORKER = "at_worker"
    """Its row runs, or is about to."""
    ENDED = "ended"
    UNKNOWN = "unknown"
    """There is no trace of it: a wrong id, another tenant's, or older than what is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Where a job was when it was asked for. What is not known, or does not apply, is None."""

    job_id: str
    place: JobPlace
    sentence: str
    """All of it for people, and why."""
    state: ResultState | None = None
    """How it ended."""
    lane: str | None = None
    adapter: str | None = None
    """`name@version` where that is settled."""
    worker: str | None = None
    """That has it, or has answered it."""
    attempt: int = 1
    at: float | None = None
    """When it is due, unix seconds."""
    waited_seconds: float | None = None
    reason: WaitReason | None = None
    """What it waits for."""
    held_by: str | None = None
    """Whose word holds it: what, by whom, why, until when."""
    last_error: str | None = None
    """Of the attempt before, `code: message`."""
