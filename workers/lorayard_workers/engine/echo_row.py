"""One request in the engine without a model, and the limits of its own time."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import (
    DeadlinePassed,
    FinishReason,
    Outcome,
    Succeeded,
    Tier,
    Timings,
    ran_too_long,
)
from lorayard_workers.engine.protocol import Sink
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.engine.token_feed import TokenFeed


@dataclass(slots=True, eq=False)
class EchoRow:
    """A request that the engine holds, and how far it is."""

    request: GenerationRequest
    sink: Sink
    scripted: Scripted
    submitted: float
    feed: TokenFeed | None = None
    cancelled: bool = False
    withdrawn: bool = False
    tier: Tier = Tier.NONE
    started: float = 0.0
    load_seconds: float = 0.0


def limit_moments(row: EchoRow) -> list[float]:
    """When it is to be looked at for a limit of its own time."""
    request = row.request
    if not row.started:
        return [] if request.start_by is None else [request.start_by]
    given = (request.run_seconds, request.run_hard_seconds)
    return [row.started + seconds for seconds in given if seconds is not None]


def ended_by_time(row: EchoRow, now: float) -> Outcome | None:
    """What it comes to when one of them is over; a text that is echoed late has no beginning to tell."""
    request = row.request
    if not row.started:
        late = request.start_by is not None and request.start_by <= now
        return DeadlinePassed(request_id=request.request_id) if late else None
    ran = now - row.started
    if request.run_hard_seconds is not None and ran >= request.run_hard_seconds:
        return ran_too_long(request.request_id, request.run_hard_seconds)
    if request.run_seconds is None or ran < request.run_seconds:
        return None
    return Succeeded(
        request_id=request.request_id,
        text="",
        finish_reason=FinishReason.TIME,
        prompt_tokens=len(request.prompt),
        completion_tokens=0,
        tier=row.tier,
        timings=Timings(total_ms=(now - row.submitted) * 1000),
    )
