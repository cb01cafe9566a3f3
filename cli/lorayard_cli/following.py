"""How a job that is followed is shown: its text as it comes, or a line for each event."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import Any

from lorayard.handle import JobHandle
from lorayard.streaming.events import JobEvent
from lorayard_cli.answers import note_maker, result_document
from lorayard_cli.failures import outcome_exit_code
from lorayard_cli.output import note, print_json, print_text
from lorayard_schemas.token_event import EventKind


async def show_stream(handle: JobHandle, timeout_seconds: float | None, *, as_json: bool) -> int:
    """Print a job's text while it is written, or with JSON its events and then its result.

    Raises:
        JobError, StreamRestartedError, JobTimeoutError: as `JobHandle.text_stream`.
    """
    if as_json:
        code = await show_events(handle, after=0, timeout_seconds=timeout_seconds, as_json=True)
        print_json(result_document(await handle.outcome()))
        return code
    wrote = ""
    try:
        async with aclosing(handle.text_stream(timeout_seconds=timeout_seconds)) as pieces:
            async for piece in pieces:
                wrote = piece
                sys.stdout.write(piece)
                sys.stdout.flush()
    except BaseException as error:
        if wrote:
            _end_line(wrote)
        if isinstance(error, asyncio.CancelledError):
            note(f"job {handle.id} goes on; its answer: lorayard result {handle.id} --wait")
        raise
    _end_line(wrote)
    result = await handle.outcome()
    note_maker(result)
    return outcome_exit_code(result.state, result.error)


async def show_events(handle: JobHandle, *, after: int, timeout_seconds: float | None, as_json: bool) -> int:
    """Print a line for each event; returns the exit code that tells how the job ended."""
    last = after
    try:
        async with aclosing(handle.events(after=after, timeout_seconds=timeout_seconds)) as events:
            async for event in events:
                last = event.sequence
                if as_json:
                    print_json(event_document(handle.id, event))
                else:
                    print_text(event_line(event))
    except asyncio.CancelledError:
        note(f"job {handle.id} goes on; to follow on: lorayard events {handle.id} --after {last}")
        raise
    result = await handle.outcome()
    return outcome_exit_code(result.state, result.error)


def _end_line(wrote: str) -> None:
    if not wrote.endswith("\n"):
        print_text("")


def event_document(job: str, event: JobEvent) -> dict[str, Any]:
    """An event as JSON; the keys are stable."""
    return {
        "job": job,
        "kind": event.kind.value,
        "sequence": event.sequence,
        "attempt": event.attempt,
        "worker": event.worker or None,
        "text": event.text,
        "index": event.index,
        "tokens": event.tokens,
        "prompt_done": event.prompt_done,
        "prompt_tokens": event.prompt_tokens,
        "state": None if event.state is None else event.state.value,
        "at": event.at,
    }


def event_line(event: JobEvent) -> str:
    """An event for people: its sequence, what happened, and what there is to say of it."""
    return f"{event.sequence:>9}  {event.kind.value:<9}  {_said(event)}".rstrip()


def _said(event: JobEvent) -> str:
    match event.kind:
        case EventKind.STARTED:
            return f"worker {event.worker}"
        case EventKind.RESTARTED:
            who = f"worker {event.worker}, " if event.worker else ""
            return f"{who}attempt {event.attempt}: what came before is void"
        case EventKind.PROGRESS:
            return f"{event.prompt_done} of {event.prompt_tokens} tokens of the prompt"
        case EventKind.TOKENS:
            return f"{event.tokens:>3} {event.text!r}"
        case EventKind.ENDED:
            return "" if event.state is None else event.state.value
