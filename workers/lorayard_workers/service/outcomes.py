"""From the engine's outcome to the result that is stored."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgpack

from lorayard_schemas.attempt import AttemptRecord, read_history
from lorayard_schemas.codec import encode
from lorayard_schemas.result import (
    ErrorKind,
    JobResult,
    JobTimings,
    Maker,
    ResultError,
    ResultState,
    Usage,
)
from lorayard_schemas.result import TokenAlternative as WireAlternative
from lorayard_schemas.result import TokenLogprob as WireLogprob
from lorayard_workers.engine.outcome import (
    Cancelled,
    DeadlinePassed,
    Failed,
    Outcome,
    Succeeded,
    TokenLogprob,
)
from lorayard_workers.service.held_jobs import HeldJob

LOGPROBS_BYTES = 384 * 1024
"""A result is one message of 1 MiB, half of it for the text."""

_ENTRY_BYTES = 64
"""Of one token beside its text: names, number, id."""


def job_result(held: HeldJob, outcome: Outcome, *, worker: str, base_digest: str) -> JobResult:
    """The one answer of a job."""
    assigned = held.assigned
    ref = assigned.adapter
    return JobResult(
        job=held.job,
        tenant=held.address.tenant,
        state=result_state(outcome),
        maker=Maker(
            worker=worker,
            adapter=ref.name if ref else None,
            version=ref.version if ref else None,
            digest=ref.digest if ref else None,
            base_digest=base_digest,
            rule=assigned.rule,
            confidence=assigned.confidence,
            alias=assigned.alias,
            composition=assigned.composition,
            additions=assigned.additions,
            tier=outcome.tier.value if isinstance(outcome, Succeeded) else "none",
        ),
        attempt=assigned.attempt,
        attempts=_attempts(held, outcome, worker),
        request_digest=held.request_digest,
        correlation_id=held.traced.get("correlation_id"),
        trace_id=held.traced.get("trace_id"),
        finished_at=time.time(),
        **_rest(outcome, assigned.waited_ms),
    )


def packed_result(held: HeldJob, outcome: Outcome, *, worker: str, base_digest: str) -> bytes:
    """`job_result` as bytes.

    A plain answer is a plain map: the models of its parts would cost three times as much as the rest of it.
    """
    if not isinstance(outcome, Succeeded) or outcome.logprobs is not None:
        return encode(job_result(held, outcome, worker=worker, base_digest=base_digest))
    assigned, timings = held.assigned, outcome.timings
    maker: dict[str, Any] = {
        "worker": worker,
        "base_digest": base_digest,
        "rule": assigned.rule,
        "tier": outcome.tier,
    }
    if (ref := assigned.adapter) is not None:
        maker |= {"adapter": ref.name, "version": ref.version, "digest": ref.digest}
    if assigned.composition is not None:
        maker["composition"] = assigned.composition.model_dump(mode="json", exclude_none=True)
    if assigned.confidence is not None:
        maker["confidence"] = assigned.confidence
    if assigned.alias is not None:
        maker["alias"] = {"name": assigned.alias.name, "revision": assigned.alias.revision}
    if assigned.additions is not None:
        maker["additions"] = assigned.additions.model_dump()
    failed = () if assigned.history is None else read_history(assigned.history)
    digest = {} if held.request_digest is None else {"request_digest": held.request_digest}
    return msgpack.packb(
        {
            **digest,
            **held.traced,
            "v": 1,
            "job": held.job,
            "tenant": held.address.tenant,
            "state": ResultState.SUCCEEDED,
            "text": outcome.text,
            "finish_reason": outcome.finish_reason,
            "maker": maker,
            "usage": {
                "prompt_tokens": outcome.prompt_tokens,
                "cached_tokens": outcome.cached_tokens,
                "completion_tokens": outcome.completion_tokens,
            },
            "timings": {
                "waited_ms": assigned.waited_ms,
                "queued_ms": timings.queued_ms,
                "load_ms": timings.load_ms,
                "first_token_ms": timings.first_token_ms,
                "total_ms": timings.total_ms,
            },
            "attempt": assigned.attempt,
            "attempts": [record.model_dump(exclude_none=True) for record in failed],
            "finished_at": time.time(),
        }
    )


def _attempts(held: HeldJob, outcome: Outcome, worker: str) -> tuple[AttemptRecord, ...]:
    """Those that failed, this one included."""
    before = read_history(held.assigned.history)
    if not isinstance(outcome, Failed):
        return before
    attempt, code, message = held.assigned.attempt, outcome.code, outcome.message
    last = AttemptRecord(attempt=attempt, worker=worker, code=code, message=message, at=time.time())
    return (*before, last)


def _rest(outcome: Outcome, waited_ms: float) -> dict[str, Any]:
    if isinstance(outcome, Succeeded):
        return _success(outcome, waited_ms)
    timings = JobTimings(waited_ms=waited_ms)
    if isinstance(outcome, Failed):
        return {"timings": timings, "error": _error(outcome)}
    return {"timings": timings}


def result_state(outcome: Outcome) -> ResultState:
    """How its job has ended."""
    match outcome:
        case Succeeded():
            return ResultState.SUCCEEDED
        case Failed():
            return ResultState.FAILED
        case Cancelled():
            return ResultState.CANCELLED
        case DeadlinePassed():
            return ResultState.EXPIRED


def _success(outcome: Succeeded, waited_ms: float) -> dict[str, Any]:
    timings = outcome.timings
    return {
        "text": outcome.text,
        "finish_reason": outcome.finish_reason.value,
        "usage": Usage(
            prompt_tokens=outcome.prompt_tokens,
            cached_tokens=outcome.cached_tokens,
            completion_tokens=outcome.completion_tokens,
        ),
        "logprobs": None if outcome.logprobs is None else tuple(_logprobs(outcome.logprobs)),
        "timings": JobTimings(
            waited_ms=waited_ms,
            queued_ms=timings.queued_ms,
            load_ms=timings.load_ms,
            first_token_ms=timings.first_token_ms,
            total_ms=timings.total_ms,
        ),
    }


def _logprobs(told: Iterable[TokenLogprob]) -> Iterator[WireLogprob]:
    """As many, from the first on, as have room in a result."""
    room = LOGPROBS_BYTES
    for each in told:
        alternatives = tuple(
            WireAlternative(token_id=other.token_id, text=other.text, logprob=other.logprob)
            for other in each.alternatives
        )
        texts = (each.text, *(other.text for other in alternatives))
        room -= sum(_ENTRY_BYTES + len(text.encode()) for text in texts)
        if room < 0:
            return
        yield WireLogprob(
            token_id=each.token_id, text=each.text, logprob=each.logprob, alternatives=alternatives
        )


def _error(outcome: Failed) -> ResultError:
    return ResultError(
        kind=ErrorKind(outcome.kind.value),
        code=outcome.code,
        message=outcome.message,
        field=outcome.field,
    )
