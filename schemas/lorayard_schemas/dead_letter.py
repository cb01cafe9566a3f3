"""A dead letter: a job the yard gave up, with the reason and the message as it came."""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.message import Message, Part


class AttemptRecord(Part):
    """One failed attempt."""

    attempt: int = Field(ge=1)
    worker: str
    code: str
    message: str
    at: float
    """Unix seconds."""


class DeadLetter(Message):
    """Stored on `yard.dead.{tenant}.{adapter}`."""

    subject: str
    sequence: int
    code: str
    reason: str
    field: str | None = None
    deliveries: int = 1
    attempts: tuple[AttemptRecord, ...] = ()
    body: bytes
    truncated: bool = False
    """Whether `body` is only the start of what came: a letter has to fit a message."""
    at: float
    """Unix seconds."""
