"""What a dispatcher knows of one job at this moment: asked for by `lorayard explain`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.additions import Additions
from lorayard_schemas.message import Message
from lorayard_schemas.names import JobId
from lorayard_schemas.semantic import SemanticVerdict


class ExplainJob(Message):
    """Asks every dispatcher about one job of a tenant."""

    tenant: Annotated[str, StringConstraints(min_length=1)]
    job: JobId


class Whereabouts(StrEnum):
    """Where a dispatcher has a job."""

    PARKED = "parked"
    """It waits here for a worker."""
    HANDED_OVER = "handed_over"
    """A worker has it, or is just getting it."""
    NOT_HERE = "not_here"


class WaitReason(StrEnum):
    """What a parked job waits for."""

    NO_WORKER = "no_worker"
    """None is alive."""
    NO_WORKER_TAKES_JOBS = "no_worker_takes_jobs"
    """All that are alive drain, are paused, or have not been heard for too long; `detail` says who paused
    which."""
    NO_BASE = "no_base"
    """None that is alive has the base model that its adapter was made for."""
    NO_FILES = "no_files"
    """None that is alive and has the base model has the adapter's files, or it serves another one only."""
    PLACEMENT = "placement"
    """Those that could serve it may not: it was declared where its adapter may be; `detail` says where."""
    DEDICATED = "dedicated"
    """Every worker that could run it serves another adapter alone."""
    ROWS_BUSY = "rows_busy"
    """Every row of every worker that could run it is taken."""
    SLOTS_BUSY = "slots_busy"
    """There are free rows, but its adapter would need a slot, and all are in use."""
    TENANT_SHARE = "tenant_share"
    """Its tenant is past its share, and others wait."""
    SESSION_WORKER = "session_worker"
    """Every row of the worker that has its session's conversation is taken, and moving would cost more."""
    FETCH = "fetch"
    """Its adapter is on its way into a worker's host memory."""
    NEXT_PLAN = "next_plan"
    """Nothing: it goes with the next plan, unless others come first."""
    STRUCK = "struck"
    """Somebody has struck its adapter or its tenant; `detail` says who, and why."""
    PAUSED = "paused"
    """Somebody has paused or drained its lane, tenant or adapter; `detail` says who, why, and until when."""
    CAPPED = "capped"
    """As many jobs of its lane, tenant or adapter are at workers as somebody allows; `detail` says which."""
    LIMIT = "limit"
    """A rate keeps it back; `detail` says whose, `moves_in_seconds` for how long."""
    PLANNER = "planner"
    """The planner holds it back; `detail` says why."""


class JobExplanation(Message):
    """One dispatcher's answer."""

    dispatcher: str
    where: Whereabouts
    workers: int = Field(default=0, ge=0)
    """Alive, as far as this dispatcher knows."""
    adapter: str | None = None
    """`name@version`; None is the base model."""
    rule: str = ""
    """What chose it, for a parked job."""
    semantic: SemanticVerdict | None = None
    """What the classifier said, where it was asked."""
    additions: Additions | None = None
    """What rules laid on top of what was chosen, and left out."""
    lane: str | None = None
    waited_seconds: float = 0.0
    """Since it was published, or since its time had come."""
    attempt: int = Field(default=1, ge=1)
    reason: WaitReason | None = None
    """For a parked job."""
    detail: str = ""
    ahead: int = Field(default=0, ge=0)
    """Parked jobs of its lane that are older."""
    oldest_seconds: float = 0.0
    """How long the oldest parked job of its lane has waited."""
    overdue_in_seconds: float | None = None
    """Until it goes before warm work; negative when it does already."""
    moves_in_seconds: float | None = None
    """Until a turn of a session waits for its worker no longer."""
    worker: str | None = None
    """That has it; for a parked job the one where a slot is drained, or its adapter fetched, for it, or which
    has its session's conversation."""
    drains: str | None = None
    """The adapter that gets no new rows there."""
