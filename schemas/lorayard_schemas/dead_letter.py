"""A dead letter: a job the yard gave up, with the reason and the message as it came."""

from __future__ import annotations

from lorayard_schemas.attempt import AttemptRecord as AttemptRecord
from lorayard_schemas.message import Message
from lorayard_schemas.names import JobId


class DeadLetter(Message):
    """Stored on `yard.dead.{tenant}.{adapter}.{job}`; without the job where its id could not be read."""

    subject: str
    """Where the job was published."""
    sequence: int
    """Of the message, in the stream it lay in."""
    job: JobId | None = None
    tenant: str | None = None
    adapter: str | None = None
    """As the job named it; None: it named none, or is no job."""
    code: str
    reason: str
    field: str | None = None
    deliveries: int = 1
    attempts: tuple[AttemptRecord, ...] = ()
    """Each failed one, and each death of a worker under a poison job, the oldest first."""
    body: bytes
    truncated: bool = False
    """Whether `body` is only the start of what came: a letter has to fit a message."""
    at: float
    """Unix seconds."""
