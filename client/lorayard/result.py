"""What a user gets back: the answer with its maker, its cost and its time, or why there is none."""

from __future__ import annotations

from lorayard.errors import JobCancelledError, JobExpiredError, JobFailedError, JobLimitReachedError
from lorayard_schemas.additions import LeftOut
from lorayard_schemas.alias import AliasRef
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.result import (
    JobResult,
    JobTimings,
    Maker,
    ResultError,
    ResultState,
    TokenLogprob,
    Usage,
)
from lorayard_shared.value import value

_NOBODY = Maker(worker="")


@value
class Result:
    """The one answer of a job."""

    job_id: str
    state: ResultState
    text: str
    """Empty when the job did not succeed; `state` and `error` say why."""
    error: ResultError | None
    finish_reason: str | None
    """`stop`, or `length` when `max_new_tokens` ended it."""
    adapter: str | None
    """Who answered: None is the base model, or a composition."""
    version: str | None
    digest: str | None
    composition: AppliedComposition | None
    """Where several adapters answered: which, at what weights, and the digest of the recipe."""
    base_digest: str | None
    worker: str
    rule: str | None
    """Which rule chose the adapter: explicit, session, semantic, default, base, or `kind:name` of an
    operator's; None when nobody worked on the job."""
    confidence: float | None
    """How sure the classifier was, where the rule is `semantic`."""
    alias: AliasRef | None
    """The alias that led to the version (`name`), and which revision of it that was."""
    added_by: tuple[str, ...]
    """The rules that added adapters to what was chosen."""
    left_out: tuple[LeftOut, ...]
    """What rules named and the job went without: each says which, of what rule, and why."""
    tier: str
    """Where the adapter was found: slot, host, disk, none."""
    usage: Usage
    logprobs: tuple[TokenLogprob, ...] | None
    """Where asked for, one for each token; of a very long answer the first ones."""
    timings: JobTimings
    attempt: int
    attempts: tuple[AttemptRecord, ...]
    """Those that failed, the oldest first: of a job that succeeded, what went before."""
    correlation_id: str | None
    trace_id: str | None
    """As the request had them; None too where a job was cancelled that nobody had read."""
    finished_at: float
    """Unix seconds."""

    @property
    def succeeded(self) -> bool:
        """Whether there is an answer."""
        return self.state is ResultState.SUCCEEDED


def from_wire(wire: JobResult, text: str) -> Result:
    """The stored message as users see it; `text` is the whole one, fetched if it was kept by reference."""
    maker = wire.maker or _NOBODY
    return Result(
        job_id=wire.job,
        state=wire.state,
        text=text,
        error=wire.error,
        finish_reason=wire.finish_reason,
        adapter=maker.adapter,
        version=maker.version,
        digest=maker.digest,
        composition=maker.composition,
        base_digest=maker.base_digest,
        worker=maker.worker,
        rule=maker.rule if wire.maker is not None else None,
        confidence=maker.confidence,
        alias=maker.alias,
        added_by=maker.additions.by if maker.additions is not None else (),
        left_out=maker.additions.left_out if maker.additions is not None else (),
        tier=maker.tier,
        usage=wire.usage,
        logprobs=wire.logprobs,
        timings=wire.timings,
        attempt=wire.attempt,
        attempts=wire.attempts,
        correlation_id=wire.correlation_id,
        trace_id=wire.trace_id,
        finished_at=wire.finished_at,
    )


def raise_unless_succeeded(result: Result) -> Result:
    """The result, if it is an answer.

    Raises:
        JobFailedError, JobCancelledError, JobExpiredError: it is none.
    """
    match result.state:
        case ResultState.SUCCEEDED:
            return result
        case ResultState.FAILED:
            if result.error is not None and result.error.limit is not None:
                raise JobLimitReachedError(result=result)
            raise JobFailedError(result=result)
        case ResultState.CANCELLED:
            raise JobCancelledError(result=result)
        case ResultState.EXPIRED:
            raise JobExpiredError(result=result)
