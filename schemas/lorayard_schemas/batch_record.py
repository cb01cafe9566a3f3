"""A batch of an HTTP client: bucket `yard_batches`, and who runs it: bucket `yard_batch_leases`.

A lease is a key with a short time to live that only its holder renews, each write bound to the revision of
the one before. `BatchRecord.run` counts who took a batch over: a runner that has lost its lease and does not
know yet finds another number there, and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.file_record import FileId
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Tenant, key_token

BatchId = Annotated[str, StringConstraints(pattern=r"^batch_[0-9a-f]{26}$")]
"""Made of an idempotency key where there was one."""

MOST_ERRORS = 100
"""Of one batch, told in its record."""


class BatchStatus(StrEnum):
    """Where a batch is, as OpenAI has it."""

    VALIDATING = "validating"
    """Taken; nothing is sent before all lines are read once."""
    FAILED = "failed"
    """Its lines cannot be asked: `errors` says which."""
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    """All lines are done with; the files are being stored."""
    COMPLETED = "completed"
    EXPIRED = "expired"
    """Its window has ended; what was answered is in the output."""
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    """As asked; what was answered is in the output."""


class LineError(Part):
    """What is wrong with the input, or one line of it."""

    code: str
    message: str
    line: int | None = None
    """From 1 on."""
    param: str | None = None


class LineCounts(Part):
    """Lines by what became of them."""

    total: int = Field(default=0, ge=0)
    completed: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)


class Ending(Part):
    """How a batch is going to end, once its files are stored."""

    status: BatchStatus
    output_file_id: FileId | None = None
    """None: nothing was answered."""
    error_file_id: FileId | None = None


_At = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
"""Unix seconds."""


class BatchRecord(Message):
    """One batch of one tenant."""

    id: BatchId
    tenant: Tenant
    input_file_id: FileId
    endpoint: str
    status: BatchStatus = BatchStatus.VALIDATING
    metadata: dict[str, str] | None = None
    counts: LineCounts = LineCounts()
    errors: tuple[LineError, ...] = Field(default=(), max_length=MOST_ERRORS)
    ending: Ending | None = None
    run: int = Field(default=0, ge=0)
    """How often a gateway has taken it up."""
    keep_output_seconds: float | None = None
    """None: as long as the gateway keeps files."""
    created_at: _At
    expires_at: _At
    in_progress_at: _At | None = None
    finalizing_at: _At | None = None
    completed_at: _At | None = None
    failed_at: _At | None = None
    expired_at: _At | None = None
    cancelling_at: _At | None = None
    cancelled_at: _At | None = None


class BatchLease(Message):
    """Which gateway runs a batch."""

    batch: BatchId
    holder: str = Field(max_length=64)
    """Made up at a gateway's start."""


def batch_key(tenant: str, batch_id: str) -> str:
    """The bucket key of a batch's record."""
    return f"{key_token(tenant)}.{batch_id}"
