"""The moves of a job that are written down, each with the one publish that decides it and what guards that.

docs/job-lifecycle.md prints the table; a test looks that each place has its guard.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_schemas import headers


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableMove:
    """One publish that moves a job for good."""

    what: str
    """The move, as the diagram has it."""
    publish: str
    """The subject."""
    guard: str
    """The header that the server judges it by."""
    value: str
    """What stands in the header."""
    refused: str
    """What a refusal means."""
    place: str
    """Module and name of what does it."""


_ONCE = headers.EXPECTED_LAST_SUBJECT_SEQUENCE

DURABLE_MOVES: tuple[DurableMove, ...] = (
    DurableMove(
        what="published: to queued",
        publish="yard.jobs.{lane}.{tenant}.{adapter}",
        guard=headers.MSG_ID,
        value="the job's id",
        refused="a duplicate: the job is there already",
        place="lorayard.publisher:Publisher",
    ),
    DurableMove(
        what="to succeeded, failed, cancelled, expired",
        publish="yard.results.{tenant}.{job}",
        guard=_ONCE,
        value="0",
        refused="another end was first: ours is void, and the job is acked all the same",
        place="lorayard_shared.bus.result_store:ResultStore",
    ),
    DurableMove(
        what="to retrying, and from there to queued",
        publish="yard.delayed.{tenant}.{job}",
        guard=headers.MSG_ID,
        value="the job and its attempt, or its snooze",
        refused="a duplicate: this attempt is scheduled already",
        place="lorayard_workers.service.retry:schedule_attempt",
    ),
    DurableMove(
        what="to dead",
        publish="yard.dead.{tenant}.{adapter}.{job}",
        guard=_ONCE,
        value="0",
        refused="the letter is there already, or an older life's, which makes way",
        place="lorayard_shared.jobs.dead_letters:DeadLetters",
    ),
    DurableMove(
        what="dead to queued",
        publish="yard.jobs.{lane}.{tenant}.{adapter}",
        guard=headers.MSG_ID,
        value="the tenant and the new id, which the old id decides",
        refused="a duplicate: an earlier redrive queued it",
        place="lorayard.publisher:Publisher",
    ),
    DurableMove(
        what="a death under the job is counted",
        publish="$KV.yard_interruptions.{key}",
        guard=_ONCE,
        value="the record's last sequence",
        refused="another has written one meanwhile: read again, and add ours",
        place="lorayard_shared.jobs.interruption_store:InterruptionStore",
    ),
)


def durable_table() -> str:
    """The table as the documents show it."""
    rows = [
        f"| {move.what} | `{move.publish}` | `{move.guard}`: {move.value} | {move.refused} |"
        for move in DURABLE_MOVES
    ]
    return "\n".join(["| move | publish | guard | a refusal means |", "|---|---|---|---|", *rows]) + "\n"
