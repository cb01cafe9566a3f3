"""Cancels of many jobs in one order (E4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import JobId

CANCEL_MANY = "cancel-many"
"""The last part of the subjects that it is sent to."""

MAX_MEANT = 500
"""In one order: 50 KB, and answered within a second."""


class Place(StrEnum):
    """Where the message of an unfinished job lies."""

    JOBS = "jobs"
    """In YARD_JOBS."""
    DUE = "due"
    """In YARD_DELAYED, and its time has come."""
    DELAYED = "delayed"
    """In YARD_DELAYED, waiting for its time."""


class SeenAt(Part):
    """Where somebody has seen a job's message."""

    place: Place
    sequence: int = Field(ge=1)
    """In that stream."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """What its caller knows it by: its result repeats them."""

    @property
    def traced(self) -> dict[str, str]:
        """The two, as far as it has them."""
        told = {"correlation_id": self.correlation_id, "trace_id": self.trace_id}
        return {name: value for name, value in told.items() if value is not None}


class MeantJob(Part):
    """One job that is to end."""

    job: JobId
    seen: SeenAt | None = None
    """None: whoever asks has only its id, and does not know whether there is such a job."""


class CancelMany(Message):
    """Ends jobs of one tenant, wherever they are."""

    tenant: Annotated[str, StringConstraints(min_length=1)]
    jobs: tuple[MeantJob, ...] = Field(min_length=1, max_length=MAX_MEANT)

    @property
    def ids(self) -> frozenset[str]:
        """Of the jobs."""
        return frozenset(one.job for one in self.jobs)

    def without(self, told: frozenset[str]) -> CancelMany | None:
        """The order for the other jobs; None: there are no others."""
        left = tuple(one for one in self.jobs if one.job not in told)
        return self.model_copy(update={"jobs": left}) if left else None


class CancelManyReply(Message):
    """What became of each; inside of a yard only those that whoever answers holds, or had parked."""

    outcomes: dict[JobId, CancelOutcome] = Field(default_factory=dict, max_length=MAX_MEANT)
