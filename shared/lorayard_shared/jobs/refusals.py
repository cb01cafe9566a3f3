"""Why whoever takes a job ends it that could be read, as its result says it."""

from __future__ import annotations

from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.result import ErrorKind, ResultError
from lorayard_shared.jobs.compose import BadCompositionError
from lorayard_shared.jobs.resolve import UnknownAdapterError


def unknown_adapter(
    error: UnknownAdapterError, refused_by: str | None, *, at: str = "adapter"
) -> ResultError:
    """Nobody has registered it; `refused_by` names a worker that found its files and refuses them, `at` the
    field that names it."""
    return ResultError(
        kind=ErrorKind.PERMANENT,
        code="unknown_adapter",
        message=f"{error.reason}; {refused_by}" if refused_by else error.reason,
        field=at,
    )


def bad_composition(error: BadCompositionError) -> ResultError:
    """Its parts are there, and do not go together."""
    return ResultError(
        kind=ErrorKind.PERMANENT, code="bad_composition", message=error.reason, field=error.field
    )


def composition_unavailable(
    composition: AppliedComposition, *, slots: int, columns: int, most: str
) -> ResultError:
    """No live worker can put it together; `most` says what they have."""
    needs = f"{slots} slot{'' if slots == 1 else 's'} and {columns} columns of them"
    return ResultError(
        kind=ErrorKind.RETRYABLE,
        code="composition_unavailable",
        message=f"{composition.label} needs a worker that composes adapters, has the files of each and "
        f"the base model they were made for, and offers {needs}: {most}",
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


def delivered_too_often() -> ResultError:
    """It seems to end whoever runs it."""
    return ResultError(
        kind=ErrorKind.POISON,
        code="delivered_too_often",
        message="its worker died under it again and again: it seems to end whoever runs it",
    )
