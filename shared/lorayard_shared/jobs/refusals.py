"""Why whoever takes a job ends it that could be read, as its result says it."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_schemas.limit import ReachedLimit
from lorayard_schemas.result import ErrorKind, ResultError
from lorayard_shared.jobs.composed import ResolvedComposition
from lorayard_shared.jobs.resolve import UnknownAdapterError

LIMIT_REACHED = "limit_reached"
SHED = "shed"
OVERLAPPED = "overlapped"


def unknown_adapter(error: UnknownAdapterError, refused_by: str | None) -> ResultError:
    """Nobody has registered it; `refused_by` names a worker that found its files and refuses them."""
    return ResultError(
        kind=ErrorKind.PERMANENT,
        code=error.code,
        message=f"{error.told}; {refused_by}" if refused_by else error.told,
        field=error.field,
    )


def composition_unavailable(
    composition: ResolvedComposition, composers: Sequence[tuple[int, int]]
) -> ResultError:
    """No live worker can put it together; `composers` are the slots and columns of those that compose."""
    most = "no worker that lives composes adapters"
    if composers:
        slots, columns = max(composers)
        most = f"the largest has {slots} slots" + (f" and {columns} columns" if columns else "")
    needs = f"{_count(composition.slots, 'slot')} with {composition.columns} columns"
    return ResultError(
        kind=ErrorKind.RETRYABLE,
        code="composition_unavailable",
        message=f"{composition.applied.label} needs a worker that composes adapters, has their files, the "
        f"base model they were made for, and {needs}: {most}",
        field="composition",
    )


def adapter_unavailable(name: str, refused_by: str | None) -> ResultError:
    """It is registered, and no live worker can serve it; `refused_by` names one that refuses its files."""
    return ResultError(
        kind=ErrorKind.RETRYABLE,
        code="adapter_unavailable",
        message=f"{name} is registered, but no worker has its files and the base model it was made for; "
        "start one with that model and the adapters folder" + (f"; {refused_by}" if refused_by else ""),
        field="adapter",
    )


def adapter_too_large(spec: str, *, needed: int, most: int) -> ResultError:
    """It takes more of the slots' columns than any live worker has."""
    return ResultError(
        kind=ErrorKind.RETRYABLE,
        code="adapter_unavailable",
        message=f"{spec} takes {needed} columns of a worker's slots, and no worker has more than {most}; "
        "start one with a larger slot budget",
        field="adapter",
    )


def base_unavailable() -> ResultError:
    """Nobody serves the base model."""
    return ResultError(
        kind=ErrorKind.RETRYABLE,
        code="base_unavailable",
        message="every worker serves one adapter alone; start one without LORAYARD_DEDICATED, "
        "or name one of these adapters",
        field="adapter",
    )


def overlapped() -> ResultError:
    """Its schedule skips what comes due while an earlier one is at work."""
    return ResultError(
        kind=ErrorKind.PERMANENT,
        code=OVERLAPPED,
        message="an earlier occurrence of the schedule has no result yet, and the schedule skips then",
    )


def terminated() -> ResultError:
    """Somebody has said `+TERM` on its lease: its message is gone, and nobody would give it out again."""
    return ResultError(
        kind=ErrorKind.RETRYABLE,
        code="terminated",
        message="somebody has terminated its message (+TERM), which nothing of the yard does: redrive it, "
        "and look who may publish on $JS.ACK.>",
    )


def delivered_too_often() -> ResultError:
    """It seems to end whoever runs it."""
    return ResultError(
        kind=ErrorKind.POISON,
        code="delivered_too_often",
        message="its worker died under it again and again: it seems to end whoever runs it",
    )


def limit_reached(message: str, limit: ReachedLimit, retry_after_seconds: float | None) -> ResultError:
    """Somebody's limit is used up; without a time to come again the job alone is more than all of it."""
    never = retry_after_seconds is None
    return ResultError(
        kind=ErrorKind.PERMANENT if never else ErrorKind.RETRYABLE,
        code=LIMIT_REACHED,
        message=message,
        field=("max_new_tokens" if "tokens" in limit.name else "prompt") if never else None,
        retry_after_seconds=retry_after_seconds,
        limit=limit,
    )


def shed(message: str, retry_after_seconds: float | None) -> ResultError:
    """It would only have waited in vain, or in the way of more urgent work."""
    return ResultError(
        kind=ErrorKind.RETRYABLE, code=SHED, message=message, retry_after_seconds=retry_after_seconds
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
