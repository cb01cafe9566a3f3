"""One of each message that others write or read, for the AsyncAPI file."""

from __future__ import annotations

from typing import Any

from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.cancel_many import CancelMany, CancelManyReply, MeantJob, Place, SeenAt
from lorayard_schemas.composition import Composition, CompositionPart, CompositionPolicy
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason, Whereabouts
from lorayard_schemas.job import ChatTurn, Job, PayloadRef, Sampling
from lorayard_schemas.message import Message
from lorayard_schemas.placement import AskPlacements, PlaceAdapter, Placement, PlaceRefusal, PlaceReply
from lorayard_schemas.result import ErrorKind, JobResult, JobTimings, Maker, ResultError, ResultState, Usage
from lorayard_schemas.status import DispatcherStatus, ParkedGroup
from lorayard_schemas.strike import Strike
from lorayard_schemas.token_event import EventKind, TokenEvent

_SUMMARY = "acme/gemma3-270m/summary"
_DIGEST = "sha256:582ddb5e3d2914eea3ee04f8d29068dbdfb6253d8d3f7a917dd1f51f985513a9"
_AT = 1795316228.4

EXAMPLES: tuple[tuple[str, Message], ...] = (
    ("smallest", Job(id="report-2026-0001", prompt="The quick brown fox.")),
    (
        "conversation",
        Job(
            id="report-2026-0002",
            messages=(ChatTurn(role="user", content="Name three colours."),),
            sampling=Sampling(max_new_tokens=64, temperature=0.7, seed=7, stop=("\n\n",)),
            created_at=_AT,
            deadline=_AT + 60,
            session="chat-17",
            metadata={"source": "crm"},
        ),
    ),
    (
        "composition",
        Job(
            id="report-2026-0003",
            prompt="The quick brown fox.",
            composition=Composition(
                policy=CompositionPolicy.SUM,
                parts=(
                    CompositionPart(adapter=_SUMMARY, weight=0.7),
                    CompositionPart(adapter="acme/gemma3-270m/pirate@1", weight=0.3),
                ),
            ),
        ),
    ),
    (
        "longPrompt",
        Job(
            id="report-2026-0004",
            prompt_ref=PayloadRef(key="docs-report-2026-0004", sha256="5d" * 32, size_bytes=734_003),
        ),
    ),
    (
        "succeeded",
        JobResult(
            job="report-2026-0001",
            tenant="docs",
            state=ResultState.SUCCEEDED,
            text="A fox.",
            finish_reason="stop",
            maker=Maker(
                worker="w1", adapter=_SUMMARY, version="1", digest=_DIGEST, rule="explicit", tier="slot"
            ),
            usage=Usage(prompt_tokens=20, cached_tokens=0, completion_tokens=3),
            timings=JobTimings(waited_ms=1.2, queued_ms=3.0, first_token_ms=51.9, total_ms=76.2),
            finished_at=_AT + 1,
        ),
    ),
    (
        "failed",
        JobResult(
            job="report-2026-0005",
            tenant="docs",
            state=ResultState.FAILED,
            error=ResultError(
                kind=ErrorKind.PERMANENT,
                code="unknown_adapter",
                message="nobody has registered 'acme/gemma3-270m/sumary'",
                field="adapter",
            ),
            finished_at=_AT + 1,
        ),
    ),
    (
        "retried",
        JobResult(
            job="report-2026-0006",
            tenant="docs",
            state=ResultState.CANCELLED,
            attempt=2,
            attempts=(
                AttemptRecord(attempt=1, worker="w1", code="engine_error", message="out of memory", at=_AT),
            ),
            finished_at=_AT + 9,
        ),
    ),
    (
        "text",
        TokenEvent(
            job="report-2026-0001",
            kind=EventKind.TOKENS,
            worker="w1",
            attempt=1,
            index=2,
            tokens=2,
            offset_bytes=6,
            text=" brown fox",
            at=_AT,
        ),
    ),
    (
        "ended",
        TokenEvent(
            job="report-2026-0001",
            kind=EventKind.ENDED,
            worker="w1",
            attempt=1,
            state=ResultState.SUCCEEDED,
            at=_AT + 1,
        ),
    ),
    ("cancel", CancelJob(tenant="docs", job="report-2026-0001")),
    ("cancelled", CancelReply(outcome=CancelOutcome.CANCELLED)),
    (
        "cancelMany",
        CancelMany(
            tenant="docs",
            jobs=(
                MeantJob(job="report-2026-0001", seen=SeenAt(place=Place.JOBS, sequence=4)),
                MeantJob(job="report-2026-0002"),
            ),
        ),
    ),
    (
        "cancelledMany",
        CancelManyReply(
            outcomes={
                "report-2026-0001": CancelOutcome.CANCELLED,
                "report-2026-0002": CancelOutcome.UNKNOWN,
            }
        ),
    ),
    ("why", ExplainJob(tenant="docs", job="report-2026-0001")),
    (
        "parked",
        JobExplanation(dispatcher="d1", where=Whereabouts.PARKED, reason=WaitReason.NO_WORKER),
    ),
    (
        "busy",
        DispatcherStatus(
            dispatcher="d1",
            started_at=_AT,
            seats=(0,),
            parked=(ParkedGroup(adapter=f"{_SUMMARY}@1", jobs=12, oldest_seconds=0.4),),
            workers=("w1", "w2"),
        ),
    ),
    ("twoAtLeast", PlaceAdapter(adapter=_SUMMARY, replicas_min=2, replicas_max=4, on=("zone=a",))),
    ("declared", PlaceReply(placement=Placement(adapter=_SUMMARY, replicas_min=2, replicas_max=4))),
    ("refused", PlaceReply(refusal=PlaceRefusal(field="adapter", reason="nobody has registered it"))),
    ("where", AskPlacements(adapter=_SUMMARY)),
    ("struck", Strike(adapter=f"{_SUMMARY}@2", why="it rambles")),
)


def examples_of(model: type[Message]) -> list[dict[str, Any]]:
    """As AsyncAPI writes them: JSON with what was said and nothing else."""
    return [
        {"name": name, "payload": told.model_dump(mode="json", exclude_none=True, exclude_unset=True)}
        for name, told in EXAMPLES
        if type(told) is model
    ]
