"""Deaths of workers under one job: what tells a poison job from one that only waited long.

One record per job in the bucket `yard_interruptions`, under the job's key (stream and sequence), for a day.
All dispatchers share it, and it outlives each of them.
"""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import JobId

MOST_DEATHS = 64
"""In one record; far more than make any job poison."""


class Interruption(Part):
    """One delivery of a job that ended with its worker."""

    delivery: int = Field(ge=1)
    """The server's count: two who see the same death tell the same number."""
    worker: str
    at: float = Field(ge=0.0, allow_inf_nan=False)
    """Unix seconds."""
    alone: bool = False
    """The worker held nothing else, as far as it had said: so nothing else can have ended it."""


class InterruptionRecord(Message):
    """All of one job."""

    tenant: str
    job: JobId
    deaths: tuple[Interruption, ...] = Field(default=(), max_length=MOST_DEATHS)

    def with_death(self, death: Interruption) -> InterruptionRecord:
        """With one more; the same, if that was known."""
        if any(known.delivery == death.delivery for known in self.deaths):
            return self
        deaths = tuple(sorted((*self.deaths, death), key=lambda one: one.delivery))
        return self.model_copy(update={"deaths": deaths[-MOST_DEATHS:]})

    def attempts(self, attempt: int) -> tuple[AttemptRecord, ...]:
        """As they stand in a history."""
        return tuple(
            AttemptRecord(
                attempt=attempt,
                worker=death.worker,
                code="worker_died",
                message=f"its worker died or hung while it held {'this job alone' if death.alone else 'it'}",
                at=death.at,
            )
            for death in self.deaths
        )


CROWD = 3
"""Times the deaths that make a job poison: then it is, though it never was alone with a worker that died."""


def is_poison(deaths: tuple[Interruption, ...], most: int) -> bool:
    """Whether a job has ended so many workers that it may end no more.

    The last of them it must have been alone with: what shares a batch with a killer dies as often as it.
    """
    if not deaths or len(deaths) < most:
        return False
    return deaths[-1].alone or len(deaths) >= CROWD * most


def is_suspect(deaths: tuple[Interruption, ...], most: int) -> bool:
    """Whether a job's next run is to show if it was the one."""
    return len(deaths) >= max(1, most - 1)
