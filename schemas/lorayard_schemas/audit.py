"""What a dispatcher decided, kept for a while in `YARD_AUDIT`: who got which job, and why. Never a prompt.

Records of one job lie under `yard.audit.{kind}.{tenant}.{job}`, so that they are found without a scan;
those of a worker under `yard.audit.{kind}.{worker}`, and those of the registry under
`yard.audit.registry.{what}.{name}.{version or revision}`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from lorayard_schemas.additions import Additions
from lorayard_schemas.alias import AliasRef
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Digest
from lorayard_schemas.semantic import SemanticVerdict

FORCED_HOME = "forced_home"
"""Phase of a decision that no plan made: the job was refused too often."""


class AuditKind(StrEnum):
    """What a record is about; a token of its subject."""

    DECISION = "decision"
    """A job was given to a worker: `DecisionRecord`."""
    RETURN = "return"
    """A worker did not take a job that was given to it: `ReturnRecord`."""
    DRAIN = "drain"
    """An adapter gets no new rows on a worker: `DrainRecord`."""
    PREFETCH = "prefetch"
    """A worker is to bring an adapter into host memory: `PrefetchRecord`."""
    PLACEMENT = "placement"
    """A worker is told where an adapter shall be: `PlacementRecord`."""
    END = "end"
    """A worker ended itself: `WorkerEndRecord`."""
    OUTCOME = "outcome"
    """Jobs have ended, several of them in one record: `OutcomesRecord`."""
    ACT = "act"
    """Somebody cancelled, redrove or purged jobs: `ActRecord`."""
    REGISTRY = "registry"
    """An adapter version, or what names point at, was changed: `RegistryChange`."""


class ReturnReason(StrEnum):
    """Why a job came back from a worker: it refused, or did not answer."""

    STALE_EPOCH = "stale_epoch"
    NO_ROOM = "no_room"
    DRAINING = "draining"
    UNKNOWN_ADAPTER = "unknown_adapter"
    UNREACHABLE = "unreachable"
    """Nobody listened there."""
    NO_ANSWER = "no_answer"
    """It may have the job all the same; if not, the job comes again when its lease runs out."""


class DecisionRecord(Message):
    """One job to one worker, and what that was decided on."""

    at: float
    """Unix seconds."""
    dispatcher: str
    plan: int = Field(ge=1)
    """Number of the plan, from 1 at the dispatcher's start."""
    job: str
    tenant: str
    lane: str
    adapter: AdapterRef | None = None
    """None is the base model, or a composition."""
    composition: AppliedComposition | None = None
    rule: str
    """Which rule chose the adapter."""
    semantic: SemanticVerdict | None = None
    """What the classifier said, where it was asked: also where it abstained, and the rule is another."""
    alias: AliasRef | None = None
    """That led to the version."""
    additions: Additions | None = None
    """What rules laid on top of it, and left out."""
    phase: str
    """Why this job and this worker: a phase of the planner, or `FORCED_HOME`."""
    source: Literal["slot", "host", "disk"]
    """Where the worker was believed to have the adapter."""
    cost_seconds: float = 0.0
    """Of the worker's time, for the load."""
    evicts: str | None = None
    """The adapter expected to leave its slot: `name@version`, or its digest."""
    view_age_seconds: float = 0.0
    """Since the worker was last heard."""
    worker: str
    waited_ms: float = 0.0
    """From publish."""
    attempt: int = Field(default=1, ge=1)
    deliveries: int = Field(default=1, ge=1)
    """How often the server gave the job out; above 1 an earlier holder has lost it."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """As the job had them."""


class ReturnRecord(Message):
    """One job that a worker did not take. It waits on, or is answered if nobody can serve it."""

    at: float
    dispatcher: str
    job: str
    tenant: str
    worker: str
    reason: str
    """One of `ReturnReason`; a newer worker may have others."""
    detail: str = ""
    attempt: int = Field(default=1, ge=1)
    correlation_id: str | None = None
    trace_id: str | None = None
    """As the job had them."""


class DrainRecord(Message):
    """An adapter that gets no new rows on a worker, so that its slot comes free for another."""

    at: float
    dispatcher: str
    plan: int = Field(ge=1)
    worker: str
    adapter: str
    """`name@version`, or the digest of one that is not registered any more."""
    for_adapter: str
    """That waits for the slot."""


class WorkerEnd(StrEnum):
    """Why a worker ended itself."""

    HUNG = "hung"
    """A thread of it made no progress."""
    SPENT = "spent"
    """Its engine died."""
    RECYCLED = "recycled"
    """It had done as many jobs, or taken as much memory, as it was allowed."""


class WorkerEndRecord(Message):
    """The last words of a worker that ended itself, on `yard.audit.end.{worker}`."""

    at: float
    worker: str
    end: WorkerEnd
    reason: str
    stacks: str = ""
    """Where every thread stood, of one that hung."""
    jobs: tuple[str, ...] = ()
    """That it held: leases, of which the server gives the jobs out again."""
    resident_bytes: int = Field(default=0, ge=0)
    """The memory that it had."""


class PrefetchRecord(Message):
    """An adapter that a worker is to bring into host memory while it decodes."""

    at: float
    dispatcher: str
    plan: int = Field(ge=1)
    worker: str
    adapter: str


class PlacementRecord(Message):
    """A worker is told to do something about an adapter, so that it comes to be where it shall be."""

    at: float
    dispatcher: str
    plan: int = Field(ge=0)
    """Of the last plan before."""
    worker: str
    adapter: str
    order: str
    """One of `OrderVerb`; a newer dispatcher may have others."""
    because: str


class JobEnd(Part):
    """How one job has ended: with the result that was stored."""

    job: str
    tenant: str
    state: str
    """One of `ResultState`."""
    attempt: int = Field(default=1, ge=1)
    adapter: str | None = None
    """`name@version`, or a composition in words; None: the base model, or it never ran."""
    digest: Digest | None = None
    """Of the adapter."""
    code: str | None = None
    """Of its error."""


class OutcomesRecord(Message):
    """Jobs whose results a process has stored within a moment, on `yard.audit.outcome.{by}`.

    One record for several: a record for each would cost a tenth of what a job costs in all.
    """

    at: float
    """Unix seconds; each ended at most a tenth of a second before."""
    by: str
    """The worker that ran them, or the dispatcher that refused them."""
    jobs: tuple[JobEnd, ...]


class ActRecord(Message):
    """Somebody did something to jobs: on `yard.audit.act.{tenant}.{job}`, or `.act.{tenant}` of many."""

    at: float
    actor: str
    """`user@host`, or what `LORAYARD_ACTOR` says."""
    verb: str
    """`cancel`, `redrive`, `purge`; a newer peer may have others."""
    tenant: str
    """`*`: of all."""
    job: str = ""
    """Empty: of many."""
    jobs: int = Field(default=1, ge=0)
    """How many are meant, where that is known: before a purge or redrive of all that fits, it is 0."""
    about: str = ""
    """Which ones were meant, or what came of it: `not confirmed` where nobody answered."""


class RegistryChange(Message):
    """Somebody changed what the yard serves: who, what, and why."""

    at: float
    """Unix seconds."""
    actor: str
    """`user@host`, a worker's name, or what `LORAYARD_ACTOR` says."""
    verb: str
    """`push`, `validate`, `refuse`, `activate`, `archive`, `remove` ...; a newer peer may have others."""
    what: str
    """The bucket that holds it: `adapters`, `aliases`, `rules` ..."""
    key: str
    """For people: `name@version` of an adapter."""
    revision: int = Field(default=0, ge=0)
    """Of the bucket, after the change; 0 when it was removed."""
    digest: Digest | None = None
    """Of the adapter."""
    before: str = ""
    """State or content before; empty: there was none."""
    after: str = ""
    """State or content after; empty: there is none any more."""
    reason: str = ""
