"""The hand-over: jobs with their leases from a dispatcher to a worker, and the worker's answer.

A lease is the ack subject of the job's delivery; whoever holds it renews it, and acks once the result is
stored. It is not fenced by the server, so every assignment carries the attempt.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.additions import Additions
from lorayard_schemas.alias import AliasRef as AliasRef
from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Digest, JobId

MAX_TOLD_TENANTS = 256
"""In a load report: more than one worker serves at a time, and no burden beside the jobs it holds."""

MAX_TOLD_TOKENS = 2**53
"""What a sum of floats still counts one by one."""


class AdapterRef(Part):
    """The adapter a job was bound to: fixed by digest, named for people."""

    name: str
    version: str
    digest: Digest


class AssignedJob(Part):
    """One job as handed over. `body` is the job's message, byte for byte."""

    key: str
    """Stream and sequence of the job's message: its identity between dispatcher and worker."""
    lease: str
    """Ack subject of the delivery."""
    subject: str
    body: bytes
    job: JobId | None = None
    """The id in `body`, which its sender has read; None: the worker reads it there."""
    attempt: int = Field(default=1, ge=1)
    deliveries: int = Field(default=1, ge=1)
    history: str | None = None
    """The `Yard-History` header as it came."""
    snoozed: str | None = None
    """The `Yard-Snoozed` header as it came."""
    adapter: AdapterRef | None = None
    composition: AppliedComposition | None = None
    """Several adapters instead of one."""
    rule: str = "base"
    confidence: float | None = None
    """Of the classifier that chose the adapter."""
    alias: AliasRef | None = None
    """None: no alias had a say."""
    additions: Additions | None = None
    """What rules laid on top of what was chosen, and left out."""
    waited_ms: float = 0.0
    force: bool = False
    """It was refused more than once: queue it, though there is no room. Only a few such are taken."""


class Assignment(Message):
    """Jobs for one worker, numbered per dispatcher so that an advert can say which it has seen."""

    dispatcher: str
    worker: str
    epoch: int
    """The worker's boot epoch that the dispatcher believes in."""
    number: int = Field(ge=1)
    load_subject: str
    """Where the worker reports its load after it finished something."""
    jobs: tuple[AssignedJob, ...] = Field(min_length=1)


MAX_COUNTED = 1024
"""Things paused or capped that a report tells of: of others no dispatcher knows what another gave out."""


class RefusalReason(StrEnum):
    """Why a worker would not take a job."""

    STALE_EPOCH = "stale_epoch"
    NO_ROOM = "no_room"
    DRAINING = "draining"
    UNKNOWN_ADAPTER = "unknown_adapter"
    DEDICATED = "dedicated"
    """It serves one other adapter alone."""


class Refusal(Part):
    """One job that goes back to the dispatcher, lease included."""

    key: str
    reason: RefusalReason
    detail: str = ""


class WorkerLoad(Message):
    """What a worker holds now: whole, never a delta, so that a lost or repeated one does no harm."""

    worker: str
    epoch: int
    number: int = Field(ge=0)
    """Rises with every report of this epoch; an older one is ignored."""
    seen: dict[str, int] = Field(default_factory=dict)
    """Last assignment number seen, by dispatcher."""
    room: int = Field(ge=0)
    """Jobs the worker would take now."""
    holding: tuple[str, ...] = ()
    """Keys of the jobs it holds."""
    given_back: tuple[str, ...] = ()
    """Keys of jobs that it hands back sound and not begun, once this one report is answered: no lease has run
    out."""
    draining: bool = False
    paused: bool = False
    """Somebody has paused or drained it: it takes no jobs, and finishes what has begun."""
    counted: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict, max_length=MAX_COUNTED)
    """Jobs that it holds of each thing (`lane:bulk`) that it knows to be paused or capped."""
    served: dict[str, Annotated[int, Field(ge=0, le=MAX_TOLD_TOKENS)]] = Field(
        default_factory=dict, max_length=MAX_TOLD_TENANTS
    )
    """Tokens computed since the worker's start, by tenant, for jobs that it holds no more."""


class AssignmentReply(Message):
    """Every job not refused is accepted: the worker renews its lease from now on."""

    refusals: tuple[Refusal, ...] = ()
    load: WorkerLoad


class CancelJob(Message):
    """Ends a job of a tenant, wherever it is."""

    tenant: Annotated[str, StringConstraints(min_length=1)]
    job: JobId
    seen: bool = False
    """Whoever asks has seen it in a stream: it need not be looked for."""


class CancelOutcome(StrEnum):
    """What a cancel found."""

    CANCELLED = "cancelled"
    """A cancelled result is stored, or will be between two tokens."""
    FINISHED = "finished"
    """Too late: another result was stored first."""
    UNKNOWN = "unknown"
    """No stream has such a job, and there is no result of it. One that comes while results are kept does not
    run."""
    NOT_HERE = "not_here"
    """This worker does not hold the job."""


class CancelReply(Message):
    """The answer to a cancel."""

    outcome: CancelOutcome
