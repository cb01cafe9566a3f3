"""How a job can end without an answer; the tree of all errors stands in `lorayard.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorayard_schemas.limit import ReachedLimit
from lorayard_schemas.result import ErrorKind
from lorayard_shared.errors import YardError

if TYPE_CHECKING:
    from lorayard.result import Result

_UNTOLD = ReachedLimit(name="")


class JobError(YardError):
    """A job did not succeed. `result` tells everything that is known."""

    def __init__(self, text: str, *, result: Result) -> None:
        super().__init__(text)
        self.result = result
        self.job_id = result.job_id


class JobFailedError(JobError):
    """The yard answered with an error. `kind` says who must act, `field` what is wrong in the request."""

    def __init__(self, *, result: Result) -> None:
        error = result.error
        self.kind = error.kind if error else ErrorKind.PERMANENT
        self.code = error.code if error else "unknown"
        self.message = error.message if error else "the yard gave no reason"
        self.field = error.field if error else None
        self.retry_after_seconds = error.retry_after_seconds if error else None
        """Sooner it would fail again; None: nobody knows."""
        where = f"{self.field}: " if self.field else ""
        super().__init__(f"job {result.job_id} failed: {where}{self.message} ({self.code})", result=result)


class LimitReachedError(YardError):
    """A limit of the tenant or of the adapter is used up, as `limit` says.

    Raised before anything is published, where it is known that the yard would refuse it, and for a job that
    the yard has refused, which is a `JobFailedError` too.
    """

    def __init__(
        self, message: str, *, limit: ReachedLimit = _UNTOLD, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        """Sooner it would be refused again; None: it is more than the limit by itself."""


class JobLimitReachedError(JobFailedError, LimitReachedError):
    """The yard has refused the job: one error for who catches failed jobs and who catches limits."""

    def __init__(self, *, result: Result) -> None:
        super().__init__(result=result)
        if result.error is not None and result.error.limit is not None:
            self.limit = result.error.limit
            self.retry_after_seconds = result.error.retry_after_seconds


class JobCancelledError(JobError):
    """The job was cancelled before it had an answer."""

    def __init__(self, *, result: Result) -> None:
        super().__init__(f"job {result.job_id} was cancelled", result=result)


class JobExpiredError(JobError):
    """The job's deadline passed before it had an answer."""

    def __init__(self, *, result: Result) -> None:
        why = result.error.message if result.error is not None else "its deadline passed first"
        super().__init__(f"job {result.job_id} expired: {why}", result=result)


class JobTimeoutError(YardError, TimeoutError):
    """Nobody answered in the time the caller gave; the job itself goes on."""

    def __init__(self, *, job_id: str, timeout_seconds: float) -> None:
        super().__init__(
            f"job {job_id} has no result after {timeout_seconds:g} s; it goes on, "
            f"and handle({job_id!r}) fetches the result later"
        )
        self.job_id = job_id
        self.timeout_seconds = timeout_seconds
