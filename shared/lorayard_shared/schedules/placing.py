"""Give an occurrence of a schedule to the server, which lets it go in time."""

from __future__ import annotations

from datetime import UTC, datetime

import nats.js.errors

from lorayard_schemas import headers
from lorayard_schemas.codec import encode_given
from lorayard_schemas.job import Job
from lorayard_schemas.schedule import Schedule, ScheduleState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.result_store import WRONG_LAST_SEQUENCE
from lorayard_shared.schedules.deciding import Placing


async def place(bus: Bus, schedule: Schedule, state: ScheduleState, placing: Placing) -> None:
    """Publish it; once more, or by two, makes no second one.

    Raises:
        nats.errors.Error: the bus did not take it.
    """
    subject = bus.subjects.delayed_job(schedule.tenant, placing.job)
    # Of one that was withdrawn the server knows the id for two minutes: the next has another.
    generation = f"{schedule.revision}-{schedule.at}-{state.withdrawn}"
    try:
        await bus.js.publish(
            subject,
            encode_given(job_of(schedule, placing.job, due=placing.due)),
            headers={
                headers.MSG_ID: bus.message_id(f"{subject}-{generation}"),
                headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0",
                headers.SCHEDULE: schedule_at(placing.due),
                headers.SCHEDULE_TARGET: bus.subjects.due_job(schedule.address),
                headers.PLAN: schedule.name,
            },
        )
    except nats.js.errors.APIError as error:
        if error.err_code != WRONG_LAST_SEQUENCE:  # else it lies there
            raise


def schedule_at(due: float) -> str:
    """The header of a message that the server lets go then."""
    return f"@at {datetime.fromtimestamp(due, UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}"


def job_of(schedule: Schedule, job: str, *, due: float) -> Job:
    """The job of one occurrence; its deadline counts from when it is let go."""
    given = {"id": job, "created_at": due}
    if schedule.deadline_seconds is not None:
        given["deadline"] = due + schedule.deadline_seconds
    return schedule.job.model_copy(update=given)
