"""How the result of a job is shown: a document for programs, text and maker for people."""

from __future__ import annotations

import asyncio
from typing import Any

from lorayard.handle import JobHandle
from lorayard.result import Result
from lorayard_cli.failures import outcome_exit_code
from lorayard_cli.output import note, print_json, print_text
from lorayard_schemas.additions import Additions


async def wait_for(handle: JobHandle, timeout_seconds: float | None) -> Result:
    """How the job ended; whoever stops waiting is told how to come back.

    Raises:
        JobTimeoutError: it has not ended yet.
    """
    try:
        return await handle.outcome(timeout_seconds)
    except asyncio.CancelledError:
        note(f"job {handle.id} goes on; its answer: lorayard result {handle.id} --wait")
        raise


def show_result(result: Result, *, as_json: bool) -> int:
    """Print a job's result; returns the exit code that tells how it ended."""
    if as_json:
        print_json(result_document(result))
    elif result.succeeded:
        print_text(result.text)
        note_maker(result)
    if not result.succeeded:
        note(f"error: {why_not(result)}")
    return outcome_exit_code(result.state, result.error)


def note_maker(result: Result) -> None:
    """Say on standard error who answered."""
    note(made_by(result))
    if told := Additions(by=result.added_by, left_out=result.left_out).label:
        note(told)


def result_document(result: Result) -> dict[str, Any]:
    """The whole result as JSON; the keys are stable."""
    error, logprobs, composition = result.error, result.logprobs, result.composition
    return {
        "job": result.job_id,
        "state": result.state.value,
        "text": result.text if result.succeeded else None,
        "finish_reason": result.finish_reason,
        "error": error.model_dump(mode="json") if error is not None else None,
        "adapter": result.adapter,
        "version": result.version,
        "digest": result.digest,
        "composition": None if composition is None else composition.model_dump(mode="json"),
        "base_digest": result.base_digest,
        "worker": result.worker or None,
        "rule": result.rule,
        "confidence": result.confidence,
        "alias": None if result.alias is None else result.alias.model_dump(),
        "added_by": list(result.added_by),
        "left_out": [one.model_dump() for one in result.left_out],
        "tier": result.tier,
        "usage": result.usage.model_dump(),
        "logprobs": None if logprobs is None else [token.model_dump() for token in logprobs],
        "timings": result.timings.model_dump(),
        "attempt": result.attempt,
        "finished_at": result.finished_at,
    }


def made_by(result: Result) -> str:
    """One line: who answered, where its adapter was found, what it cost."""
    seconds = (result.timings.waited_ms + result.timings.total_ms) / 1000
    tokens = result.usage.completion_tokens
    parts = (
        result.composition.label if result.composition else adapter_label(result.adapter, result.version),
        f"worker {result.worker}",
        tier_label(result.tier),
        f"{tokens} token{'' if tokens == 1 else 's'}",
        f"{seconds:.2f} s",
    )
    return " · ".join(part for part in parts if part)


def adapter_label(adapter: str | None, version: str | None) -> str:
    """`name@version`, or `base`."""
    return f"{adapter}@{version}" if adapter else "base model"


def tier_label(tier: str) -> str:
    """Where the adapter was found, in words; empty for the base model."""
    return {
        "slot": "slot hit",
        "host": "loaded from host",
        "disk": "loaded from disk",
        "merged": "merged",
    }.get(tier, "")


def why_not(result: Result) -> str:
    """One line: why a job has no answer."""
    error = result.error
    if error is None:
        return f"job {result.job_id} {result.state.value}"
    field = f"{error.field}: " if error.field and not error.message.startswith(error.field) else ""
    return f"job {result.job_id} {result.state.value}: {field}{error.message} ({error.code})"
