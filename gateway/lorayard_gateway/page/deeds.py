"""What an operator may do on the page, as its bodies say it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from lorayard.cancel_many import MOST
from lorayard_schemas.control import MOST_AT_ONCE, Controlled
from lorayard_schemas.job import Lane
from lorayard_schemas.names import JobId, Tenant

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
"""Whoever asks why a job waits is told it."""

OptionalReason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


MOST_LISTED = 2000
"""As many as a list of the page has."""


class _Deed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cancel(_Deed):
    """End one job."""

    deed: Literal["cancel"]
    tenant: Tenant
    job: str


class ListedJob(_Deed):
    """One of many."""

    tenant: Tenant
    job: JobId


class CancelListed(_Deed):
    """End these."""

    deed: Literal["cancel_listed"]
    jobs: tuple[ListedJob, ...] = Field(min_length=1, max_length=MOST_LISTED)


class CancelMatching(_Deed):
    """End all unfinished jobs that fit, the oldest first, and no more than were confirmed."""

    deed: Literal["cancel_matching"]
    tenant: Tenant | None = None
    lane: Lane | None = None
    adapter: Name | None = None
    named: Name | None = None
    """Just as jobs name it: one line of the queues."""
    older_than_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    most: int = Field(default=MOST, ge=1, le=1_000_000)
    count_only: bool = False
    """Say how many fit, and end none."""


class Redrive(_Deed):
    """Try the job of a dead letter again."""

    deed: Literal["redrive"]
    number: int = Field(ge=1, le=2**53)


class RedriveListed(_Deed):
    """The same of these."""

    deed: Literal["redrive_listed"]
    numbers: tuple[Annotated[int, Field(ge=1, le=2**53)], ...] = Field(min_length=1, max_length=200)
    """Each is looked up by itself."""


class RedriveMatching(_Deed):
    """The same of all letters that fit, the oldest first, and no more than were confirmed."""

    deed: Literal["redrive_matching"]
    tenant: Tenant | None = None
    adapter: Name | None = None
    code: Name | None = None
    most: int = Field(default=MOST, ge=1, le=1_000_000)
    count_only: bool = False


class Pause(_Deed):
    """Let nothing of it start."""

    deed: Literal["pause", "drain"]
    kind: Controlled
    name: Name
    reason: Reason
    for_seconds: float | None = Field(default=None, gt=0, le=366 * 86_400, allow_inf_nan=False)


class Resume(_Deed):
    """Let it start again."""

    deed: Literal["resume"]
    kind: Controlled
    name: Name
    reason: OptionalReason = ""


class Cap(_Deed):
    """Have at most so many of its jobs at workers at once."""

    deed: Literal["cap"]
    kind: Controlled
    name: Name
    most: int = Field(ge=1, le=MOST_AT_ONCE, strict=True)
    reason: Reason


class Uncap(_Deed):
    """As many as there is room for."""

    deed: Literal["uncap"]
    kind: Controlled
    name: Name
    reason: OptionalReason = ""


class Pin(_Deed):
    """Have an adapter, or one version of it, stay in its slots; or make way for others again."""

    deed: Literal["pin", "unpin"]
    adapter: Name
    reason: OptionalReason = ""


class Strike(_Deed):
    """Have jobs of an adapter, a version, a tenant or a pair wait."""

    deed: Literal["strike"]
    adapter: Name | None = None
    tenant: Tenant | None = None
    reason: Reason


class Lift(_Deed):
    """Let them run again."""

    deed: Literal["lift"]
    adapter: Name | None = None
    tenant: Tenant | None = None
    reason: OptionalReason = ""


class Promote(_Deed):
    """Give a version all of an alias's requests."""

    deed: Literal["promote"]
    alias: Name
    version: Name | None = None
    reason: OptionalReason = ""


class Rollback(_Deed):
    """Return an alias to what it was."""

    deed: Literal["rollback"]
    alias: Name
    to: int | None = Field(default=None, ge=1, le=2**53)
    reason: OptionalReason = ""


Deed = Annotated[
    Cancel
    | CancelListed
    | CancelMatching
    | Redrive
    | RedriveListed
    | RedriveMatching
    | Pause
    | Resume
    | Cap
    | Uncap
    | Pin
    | Strike
    | Lift
    | Promote
    | Rollback,
    Field(discriminator="deed"),
]

DEEDS: TypeAdapter[Deed] = TypeAdapter(Deed)
