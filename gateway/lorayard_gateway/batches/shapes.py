"""Batches as OpenAI's clients know them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from lorayard.openai_shapes import Endpoint
from lorayard_gateway.batches.states import OVER
from lorayard_gateway.files.shapes import LEAST_KEPT_SECONDS, MOST_KEPT_SECONDS
from lorayard_gateway.queries import Query
from lorayard_schemas.batch_record import BatchId, BatchRecord, BatchStatus

WINDOW = "24h"
MOST_LISTED = 100
LISTED = 20
MOST_METADATA = 16


def _whole(text: str) -> str:
    """JSON may hold half of a surrogate pair, and no record may."""
    text.encode()
    return text


_MetadataKey = Annotated[str, StringConstraints(max_length=64), AfterValidator(_whole)]
_MetadataValue = Annotated[str, StringConstraints(max_length=512), AfterValidator(_whole)]


class KeptFor(BaseModel):
    """How long output and error file are kept."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=LEAST_KEPT_SECONDS, le=MOST_KEPT_SECONDS)


class BatchBody(BaseModel):
    """A batch that is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_file_id: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]
    endpoint: Endpoint
    """Of every line."""
    completion_window: Literal["24h"]
    metadata: dict[_MetadataKey, _MetadataValue] | None = Field(default=None, max_length=MOST_METADATA)
    output_expires_after: KeptFor | None = None


class BatchesQuery(Query):
    """Which of them."""

    limit: int = Field(default=LISTED, ge=1, le=MOST_LISTED)
    after: BatchId | None = None


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class BatchError(_Told):
    """What is wrong with the input."""

    code: str
    line: int | None
    message: str
    param: str | None


class BatchErrors(_Told):
    """All of it, up to a hundred."""

    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(_Told):
    """Lines."""

    total: int
    completed: int
    failed: int


class BatchObject(_Told):
    """One batch. Times are unix seconds."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str = WINDOW
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, record: BatchRecord) -> Self:
        """What a record tells."""
        told = [BatchError.model_validate(one.model_dump()) for one in record.errors]
        ending = record.ending if record.status in OVER else None
        times = {
            name: None if (at := getattr(record, name)) is None else int(at)
            for name in cls.model_fields
            if name.endswith("_at")
        }
        return cls.model_validate(
            {
                "id": record.id,
                "endpoint": record.endpoint,
                "errors": BatchErrors(data=told) if told else None,
                "input_file_id": record.input_file_id,
                "status": record.status,
                "output_file_id": None if ending is None else ending.output_file_id,
                "error_file_id": None if ending is None else ending.error_file_id,
                "request_counts": record.counts.model_dump(),
                "metadata": record.metadata,
                **times,
            }
        )


class BatchList(_Told):
    """One page of them."""

    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool
