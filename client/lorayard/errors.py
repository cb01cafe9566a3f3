"""What can go wrong for a user of the client, by who must act.

LorayardError                  base of all (the same class as lorayard_shared.errors.YardError)
  InvalidRequestError          caller: a field of the request is wrong; also a ValueError
    PayloadTooLargeError       caller: the request does not fit, even by reference
    BodyError                  caller: an OpenAI body asks what cannot be (lorayard.openai_shapes)
    IdempotencyConflictError   caller: another request was submitted under the same key; that one stands
  NotSentError                 caller: another request of the same atomic batch was refused
  ClientClosedError            caller: used outside of its `async with` block
  LimitReachedError            a limit of the tenant or the adapter: wait, then submit again
  JobFailedError               caller (kind permanent), or try later (retryable), or us (poison)
  JobCancelledError            nobody: the job was cancelled
  JobExpiredError              caller: its deadline passed first
  BatchError                   caller: a batch cannot go on as it is (lorayard.batch.errors)
  DrainTimeoutError            caller: something still runs; it stays paused; also a TimeoutError
  DeadlinePassedError          caller: its own deadline has passed; nothing was sent; also a TimeoutError
  JobTimeoutError              caller: waited long enough; the job goes on; also a TimeoutError
  StreamRestartedError         caller: another run wrote another text; the result is whole and right
  YardFullError                wait and submit again: back-pressure
  SubmitUnconfirmedError       submit again with the same idempotency key, or ask the handle
  BusUnavailableError          operator: no server answers at the address (lorayard_shared)
    ChangeUnconfirmedError     look what is so, or make the change again: it may be made, or not
  YardNotReadyError            operator: a bus, but no yard was declared on it
  NoDispatcherError            operator: a yard, but nobody to take the order
  SettingsError                operator: a setting is missing or wrong (lorayard_shared)
  BusRefusedError              operator: the server refused a message for another reason
  YardRefusedError             operator: a dispatcher answered an order with an error
  UnreadableRecordError        us: something stored in the yard is not what it claims to be
  AdapterRefusedError          publisher: a folder that cannot be served (lorayard_shared)
  NotValidatedError            publisher: a worker refused the version; or operator: none could try it
  NotPreloadedError            operator: no worker has a version that an alias was to lead to
  AliasRefusedError            caller: an alias cannot become that (lorayard_shared)
  ExtraMissingError            caller: a call needs a library that an extra brings; also an ImportError
  NoClassifierError            caller: nothing chooses by meaning in this yard
  LabelUnknownError            caller: a classifier would choose what does not serve (lorayard_shared)
  RuleFileError                caller: rules that cannot be used (lorayard_shared)
  RuleRevisionError            caller: there are no such rules to return to (lorayard_shared)
  LimitsUnknownError           caller: just these are not limited (lorayard_shared)
  LetterUnknownError           caller: there is no such dead letter, or several of that job id
  ScheduleUnknownError         caller: there is no such schedule (lorayard_shared)
  KeyUnknownError              caller: there is no such key of a gateway (lorayard_shared)
  StrikeUnknownError           caller: just this is not struck (lorayard_shared)
  PauseUnknownError            caller: just this is not paused, or has no cap (lorayard_shared)
  VersionTakenError            publisher: the version stands for other bytes (lorayard_shared)
  VersionUnknownError          caller: there is no such version (lorayard_shared)
  TransitionError              caller: a version's state does not allow it (lorayard_shared)
  StoreFullError               operator: the object store takes no more (lorayard_shared)
  FileMissingError             publisher: the store lacks a file, or has other bytes (lorayard_shared)
  ReferencedError              caller: something names the version (lorayard_shared)
  VersionNamedError            caller: an alias, a rule or the classifier leads to it (lorayard_shared)
  ContendedError               try again: others change the same thing all the time (lorayard_shared)
  ResultTextMissingError       us: a result's text, kept by reference, is gone or is another one
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorayard.job_errors import (
    JobCancelledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobLimitReachedError,
    JobTimeoutError,
    LimitReachedError,
)
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.errors import BusUnavailableError, SettingsError, YardError
from lorayard_shared.registry.errors import (
    AliasRefusedError,
    ContendedError,
    FileMissingError,
    KeyUnknownError,
    LabelUnknownError,
    LimitsUnknownError,
    PauseUnknownError,
    ReferencedError,
    RuleFileError,
    RuleRevisionError,
    ScheduleUnknownError,
    StoreFullError,
    StrikeUnknownError,
    TransitionError,
    VersionNamedError,
    VersionTakenError,
    VersionUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "AdapterRefusedError",
    "AliasRefusedError",
    "BusRefusedError",
    "BusUnavailableError",
    "ChangeUnconfirmedError",
    "ClientClosedError",
    "ContendedError",
    "DeadlinePassedError",
    "DrainTimeoutError",
    "FileMissingError",
    "IdempotencyConflictError",
    "InvalidRequestError",
    "JobCancelledError",
    "JobError",
    "JobExpiredError",
    "JobFailedError",
    "JobLimitReachedError",
    "JobTimeoutError",
    "KeyUnknownError",
    "LabelUnknownError",
    "LetterUnknownError",
    "LimitReachedError",
    "LimitsUnknownError",
    "LorayardError",
    "NoClassifierError",
    "NoDispatcherError",
    "NotPreloadedError",
    "NotSentError",
    "NotValidatedError",
    "PauseUnknownError",
    "PayloadTooLargeError",
    "ReferencedError",
    "ResultTextMissingError",
    "RuleFileError",
    "RuleRevisionError",
    "ScheduleUnknownError",
    "SettingsError",
    "StoreFullError",
    "StreamRestartedError",
    "StrikeUnknownError",
    "SubmitUnconfirmedError",
    "TransitionError",
    "UnreadableRecordError",
    "VersionNamedError",
    "VersionTakenError",
    "VersionUnknownError",
    "YardFullError",
    "YardNotReadyError",
    "YardRefusedError",
]

LorayardError = YardError
# One class and not a subclass: `except LorayardError` must also catch what shared/ raises under the client.


class ExtraMissingError(LorayardError, ImportError):
    """A call needs a library that is not installed."""

    def __init__(self, *, extra: str, package: str, what: str) -> None:
        super().__init__(f"{what} needs {package}; run: pip install 'lorayard[{extra}]'")
        self.extra = extra
        self.package = package


class NoClassifierError(LorayardError):
    """Nothing chooses by meaning in this yard, and what was asked for needs what does."""

    def __init__(self) -> None:
        super().__init__("no classifier is in force; `lorayard routes train EXAMPLES.jsonl` makes one")


class InvalidRequestError(LorayardError, ValueError):
    """A field of the request cannot be used as it is; nothing was published."""

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class PayloadTooLargeError(InvalidRequestError):
    """The request is bigger than the bus takes, and cannot travel by reference."""

    def __init__(self, *, field: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(field=field, reason=f"{size_bytes} bytes, at most {limit_bytes} can be sent")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class IdempotencyConflictError(InvalidRequestError):
    """Another request was submitted under the same idempotency key: that one stands, this one was not sent
    or was dropped by the bus."""

    def __init__(self, *, key: str, job_id: str) -> None:
        super().__init__(
            field="idempotency_key",
            reason=f"{key!r} stands for another request, job {job_id}: ask its handle, or use another key",
        )
        self.key = key
        self.job_id = job_id


class NotSentError(LorayardError):
    """Nothing is wrong with this request, but it was to be all or none, and that at `index` was refused."""

    def __init__(self, *, index: int, cause: LorayardError) -> None:
        super().__init__(f"not sent, for request {index} of its batch was refused: {cause}")
        self.index = index
        self.cause = cause


class ClientClosedError(LorayardError):
    """The client has no connection: it was not opened yet, or is closed already."""

    def __init__(self) -> None:
        super().__init__("the client is not open; use it inside `async with Client(...) as yard:`")


class DeadlinePassedError(LorayardError, TimeoutError):
    """The deadline around the call has passed, so nothing was submitted."""

    def __init__(self) -> None:
        super().__init__("the deadline of the calls around this one has passed: nothing was submitted")


class StreamRestartedError(LorayardError):
    """What was given out of a text is void: the job was begun anew, and the new run writes something else."""

    def __init__(self, *, job_id: str, text: str) -> None:
        super().__init__(
            f"job {job_id} was begun anew and now writes another text than the {len(text)} characters given "
            "out so far; `result` has the one that counts, and `events` says where such a text begins"
        )
        self.job_id = job_id
        self.text = text


class DrainTimeoutError(LorayardError, TimeoutError):
    """Something that is drained still runs; it stays paused, and what runs goes on."""

    def __init__(self, *, kind: str, name: str, seconds: float, jobs: int) -> None:
        running = "1 job" if jobs == 1 else f"{jobs} jobs"
        super().__init__(
            f"{kind} {name} is not empty after {seconds:g} s: {running} at its workers; it stays paused, "
            f"and `lorayard {kind}s drain {name}` waits on"
        )
        self.kind = kind
        self.name = name
        self.seconds = seconds
        self.jobs = jobs


class YardFullError(LorayardError):
    """The job queue takes no more: back-pressure, not a fault."""

    def __init__(self, *, reason: str, retry_after_seconds: float | None = None) -> None:
        when = "" if retry_after_seconds is None else f" in {retry_after_seconds:.2g} s"
        super().__init__(
            f"the yard's job queue is full ({reason}); wait for workers to catch up and submit again{when}"
        )
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        """As jobs leave the queue now; None: nobody knows."""


class SubmitUnconfirmedError(LorayardError):
    """The bus did not say whether it has the job. Submitting with the same idempotency key is safe."""

    def __init__(self, *, job_id: str, waited_seconds: float, last_error: str) -> None:
        hint = f" (last error of the bus: {last_error})" if last_error else ""
        super().__init__(
            f"the bus did not confirm job {job_id} within {waited_seconds:g} s{hint}; it may be queued all "
            "the same: ask its handle, or submit again with the same idempotency key"
        )
        self.job_id = job_id
        self.waited_seconds = waited_seconds


class ChangeUnconfirmedError(BusUnavailableError):
    """The bus did not say whether a change was made. To make it again changes nothing more, unless it is one
    that goes on from what there is."""

    def __init__(self, *, url: str, what: str) -> None:
        super().__init__(url=url, reason="no answer")
        self.args = (
            f"the bus at {self.url} did not say whether {what} was changed: look, or change it again",
        )
        self.what = what


class YardNotReadyError(LorayardError):
    """There is a bus, but no yard on it."""

    def __init__(self, *, prefix: str, missing: str) -> None:
        super().__init__(
            f"no yard {prefix!r} has been declared on this bus ({missing} is missing); "
            "start a dispatcher or `lorayard up`"
        )
        self.prefix = prefix
        self.missing = missing


class NoDispatcherError(LorayardError):
    """Nobody takes orders in this yard."""

    def __init__(self, *, order: str, reason: str) -> None:
        super().__init__(f"no dispatcher took the order {order!r} ({reason}); start one, then try again")
        self.order = order
        self.reason = reason


class LetterUnknownError(LorayardError):
    """There is no such dead letter, or a job's id alone does not say which."""

    def __init__(self, *, letter: int | str, numbers: Sequence[int]) -> None:
        if numbers:
            told = f"several tenants have a dead letter of job {letter}: name one of {list(numbers)}"
        else:
            what = f"of job {letter}" if isinstance(letter, str) else str(letter)
            told = (
                f"no dead letter {what}: redriven or purged, or it never was; `lorayard dead ls` lists them"
            )
        super().__init__(told)
        self.letter = letter
        self.numbers = tuple(numbers)
        self.field = "letter"


class BusRefusedError(LorayardError):
    """The server refused a message, with its own code."""

    def __init__(self, *, code: int, description: str) -> None:
        super().__init__(f"the bus refused the message: {description} ({code})")
        self.code = code
        self.description = description


class YardRefusedError(LorayardError):
    """A dispatcher answered an order with an error."""

    def __init__(self, *, order: str, code: str, description: str) -> None:
        super().__init__(f"the dispatcher refused the order {order!r}: {description} ({code})")
        self.order = order
        self.code = code
        self.description = description


class NotValidatedError(LorayardError):
    """A version may not serve: a worker refused it, or none could try it."""

    def __init__(
        self, *, label: str, reason: str, module: str | None = None, worker: str | None = None
    ) -> None:
        who = f"worker {worker} refused it" if worker else "it was not tried"
        where = f"{module}: " if module and module not in reason else ""
        super().__init__(f"{label} may not serve: {who}: {where}{reason}")
        self.label = label
        self.reason = reason
        self.module = module
        self.worker = worker


class NotPreloadedError(LorayardError):
    """No worker has a version at hand that an alias was to lead to; nothing was switched."""

    def __init__(self, *, labels: Sequence[str], trouble: Sequence[str]) -> None:
        why = f" ({'; '.join(trouble)})" if trouble else ""
        super().__init__(
            f"no worker has {', '.join(labels)} at hand{why}, so nothing was switched; --no-preload "
            "(preload_seconds=None) switches anyway"
        )
        self.labels = tuple(labels)
        self.trouble = tuple(trouble)
        self.field = "version"


class UnreadableRecordError(LorayardError):
    """A stored message is malformed."""

    def __init__(self, *, place: str, reason: str) -> None:
        super().__init__(f"{place} cannot be read: {reason}")
        self.place = place
        self.reason = reason


class ResultTextMissingError(LorayardError):
    """The text of a result was kept by reference and cannot be had."""

    def __init__(self, *, job_id: str, reason: str) -> None:
        super().__init__(f"the text of job {job_id} is lost: {reason}")
        self.job_id = job_id
        self.reason = reason
