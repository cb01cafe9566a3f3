"""Errors as OpenAI tells them: an HTTP status, and a body whose `type` and `code` programs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorayard.errors import (
    BusUnavailableError,
    DeadlinePassedError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobCancelledError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    LimitReachedError,
    LorayardError,
    NoDispatcherError,
    PayloadTooLargeError,
    SubmitUnconfirmedError,
    YardFullError,
    YardNotReadyError,
)
from lorayard.openai_shapes.reading import BodyError
from lorayard_schemas.result import ErrorKind

INVALID = "invalid_request_error"
SERVER = "server_error"

CLIENT_CLOSED = 499
"""No number of the standard; servers log it for a request that its client gave up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShape:
    """One error."""

    status: int
    """Of HTTP."""
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: float | None = None

    def body(self) -> dict[str, Any]:
        """As a response has it."""
        told = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": told}


def error_of(error: LorayardError) -> ErrorShape:
    """What of the client's errors an OpenAI client shall see."""
    match error:
        case LimitReachedError():
            later = error.retry_after_seconds
            return _shape(error, 429, "rate_limit_error", "rate_limit_exceeded", retry_after_seconds=later)
        case JobFailedError():
            return _failed(error)
        case BodyError():
            return _shape(error, 400, INVALID, error.code, param=error.field)
        case PayloadTooLargeError():
            return _shape(error, 413, INVALID, "payload_too_large", param=error.field)
        case IdempotencyConflictError():
            return _shape(error, 409, INVALID, "idempotency_conflict", param=error.field)
        case InvalidRequestError():
            return _shape(error, 400, INVALID, "invalid_value", param=error.field)
        case JobCancelledError():
            return _shape(error, CLIENT_CLOSED, INVALID, "cancelled")
        case JobExpiredError():
            return _expired(error)
        case JobTimeoutError() | DeadlinePassedError():
            return _shape(error, 504, SERVER, "timeout")
        case YardFullError():
            later = error.retry_after_seconds
            return _shape(error, 503, SERVER, "yard_full", retry_after_seconds=later)
        case BusUnavailableError() | YardNotReadyError() | NoDispatcherError() | SubmitUnconfirmedError():
            return _shape(error, 503, SERVER, "unavailable")
        case _:
            return _shape(error, 500, SERVER, "internal_error")


def _failed(error: JobFailedError) -> ErrorShape:
    if error.code == "unknown_adapter":
        return _shape(error, 404, INVALID, "model_not_found", param="model")
    later = error.retry_after_seconds
    match error.kind:
        case ErrorKind.PERMANENT:
            return _shape(error, 400, INVALID, error.code, param=error.field)
        case ErrorKind.RETRYABLE:
            return _shape(error, 503, SERVER, error.code, retry_after_seconds=later)
        case ErrorKind.POISON:
            return _shape(error, 500, SERVER, error.code)


def _expired(error: JobExpiredError) -> ErrorShape:
    told = error.result.error
    if told is None or told.code != "shed":
        return _shape(error, 504, SERVER, "expired")
    return _shape(error, 503, SERVER, "shed", retry_after_seconds=told.retry_after_seconds)


def _shape(
    error: LorayardError,
    status: int,
    type_: str,
    code: str,
    *,
    param: str | None = None,
    retry_after_seconds: float | None = None,
) -> ErrorShape:
    return ErrorShape(
        status=status,
        type=type_,
        code=code,
        message=str(error),
        param=param,
        retry_after_seconds=retry_after_seconds,
    )
