"""A recurring job: what is asked for again and again, when, and what became of it.

Both live in the bucket `yard_schedules`: the plan as people wrote it, and beside it how far it has come,
which dispatchers write.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lorayard_schemas.alias import Text
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import JobId, Tenant, key_token
from lorayard_schemas.result import ResultState
from lorayard_schemas.subjects import JobAddress

PLANS, STATES = "plan.", "state."
"""Begin the bucket keys."""

RUNS_KEPT = 32
"""Occurrences told by `history`."""

MOST_CATCH_UP = 100

ScheduleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
"""Begins the ids of its jobs, which have 64 characters at most."""

SubjectAdapter = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,1024}$")]
"""Escaped, it fits the 4,096 bytes that a server takes for a subject."""

Moment = Annotated[float, Field(ge=0.0, le=253_402_300_799.0, allow_inf_nan=False)]
"""Unix seconds, up to the year 9999."""


class Overlap(StrEnum):
    """What becomes of an occurrence that comes due before an earlier one has its result."""

    SKIP = "skip"
    """It is cancelled."""
    QUEUE = "queue"
    """It waits until the earlier ones have theirs."""
    REPLACE = "replace"
    """The earlier ones are cancelled."""


class CatchUp(StrEnum):
    """Which occurrences are made up for that passed while no dispatcher and no server lived."""

    NONE = "none"
    LAST = "last"
    ALL = "all"
    """The newest `catch_up_most`."""


class Schedule(Message):
    """One recurring job of a tenant."""

    name: ScheduleName
    tenant: Tenant
    cron: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Minute, hour, day of month, month, day of week."""
    tz: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "UTC"
    """A name of the IANA time zone database."""
    lane: Lane = Lane.NORMAL
    adapter: SubjectAdapter | None = None
    """As in a job's subject: a name, `+` and a name of a composition, or None: the yard chooses."""
    job: Job
    """What each occurrence asks for; its id is the schedule's name."""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.NONE
    catch_up_most: int = Field(default=10, ge=1, le=MOST_CATCH_UP)
    start: Moment | None = None
    end: Moment | None = None
    """Nothing is due before the one and after the other."""
    jitter_seconds: float = Field(default=0.0, ge=0.0, le=3600.0)
    """Each occurrence comes up to so much later, always by the same time."""
    deadline_seconds: float | None = Field(default=None, gt=0.0, le=366 * 86_400.0)
    """Of each occurrence, from when it is due."""
    paused: bool = False
    since: Moment = 0.0
    """What was due before is not missed: it was added, changed or resumed then."""
    revision: int = Field(default=1, ge=1)
    by: Text = ""
    why: Text = ""
    at: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """When it was changed last, by whom, and why."""

    @property
    def address(self) -> JobAddress:
        """Where its jobs go."""
        return JobAddress(lane=self.lane, tenant=self.tenant, adapter=self.adapter)


class ScheduledRun(Part):
    """One occurrence that was let go."""

    job: JobId
    at: Moment
    """The time by the cron expression; unix seconds."""
    how: Literal["on_time", "caught_up", "by_hand"] = "on_time"
    state: ResultState | None = None
    """How its job ended; None: it has no result yet, or none that was seen."""
    code: str | None = None
    """Of its error; `overlapped`: an earlier one was still at work."""
    finished_at: float | None = None


class Ahead(Part):
    """The occurrence that the server holds now."""

    at: Moment
    due: Moment
    """The same with its jitter."""
    revision: int = Field(ge=1)
    """Of the plan that it was made by."""


class ScheduleState(Message):
    """How far a schedule has come."""

    name: ScheduleName
    tenant: Tenant
    until: Moment = 0.0
    """Occurrences up to here are decided on."""
    ahead: Ahead | None = None
    withdrawn: int = Field(default=0, ge=0)
    """Occurrences that were placed and taken back."""
    missed: int = Field(default=0, ge=0)
    """Occurrences that nobody made up for."""
    runs: Annotated[tuple[ScheduledRun, ...], Field(max_length=RUNS_KEPT)] = ()
    """The oldest first."""


def plan_key(tenant: str, name: str) -> str:
    """The bucket key of a plan."""
    return f"{PLANS}{key_token(tenant)}.{name}"


def state_key(tenant: str, name: str) -> str:
    """The bucket key of how far it has come."""
    return f"{STATES}{key_token(tenant)}.{name}"


def occurrence_id(name: str, at: float, *, by_hand: bool = False) -> str:
    """The job id of an occurrence: whoever places it, it is the same job."""
    moment = datetime.fromtimestamp(at, UTC)
    if by_hand:
        return f"{name}-now-{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z"
    return f"{name}-{moment:%Y%m%dT%H%M%SZ}"
