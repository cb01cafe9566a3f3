"""What is refused about batches, and what ends a run of one."""

from __future__ import annotations

from lorayard_gateway.errors import ApiError


def batch_unknown(batch_id: str) -> ApiError:
    """There is none, or not of this tenant: the two are told alike."""
    return ApiError(404, "batch_not_found", f"No batch found with id '{batch_id[:100]}'.", param="batch_id")


def wrong_purpose(file_id: str, purpose: str) -> ApiError:
    """The input is no input."""
    message = f"{file_id} has the purpose {purpose}; the input of a batch has the purpose batch."
    return ApiError(400, "invalid_value", message, param="input_file_id")


def not_to_cancel(batch_id: str, status: str) -> ApiError:
    """It has ended, or as good as."""
    message = f"{batch_id} is {status} and cannot be cancelled."
    return ApiError(409, "batch_not_cancellable", message, param="batch_id")


def key_taken() -> ApiError:
    """Another batch was asked for under the same key."""
    message = "Another batch was asked for under this Idempotency-Key; that one stands."
    return ApiError(409, "idempotency_conflict", message, param="idempotency-key")


def too_many_batches(most: int) -> ApiError:
    """So many of a tenant's have not ended."""
    message = f"{most} batches have not ended yet: wait for one, or cancel one."
    return ApiError(429, "too_many_batches", message, type_="rate_limit_error", retry_after_seconds=60.0)


class RunLostError(Exception):
    """Another gateway has the batch."""


class InputGoneError(Exception):
    """The input file is not there any more, or damaged."""
