"""The states of a job and the only moves between them. docs/job-lifecycle.md is drawn from this table.

What is durable decides: a message in YARD_JOBS means not finished, one in YARD_RESULTS
finished, one in YARD_DEAD given up. The states between are live detail.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """Stored in YARD_JOBS; no dispatcher has taken it yet."""
    PARKED = "parked"
    """Held by a dispatcher that waits for a worker with room."""
    ASSIGNED = "assigned"
    """Accepted by a worker; its row has not started."""
    RUNNING = "running"
    """Its tokens are being made."""
    RETRYING = "retrying"
    """Failed in a way that may pass; scheduled to be queued again."""
    SUCCEEDED = "succeeded"
    """Answered."""
    FAILED = "failed"
    """Answered with an error that no further attempt can cure."""
    CANCELLED = "cancelled"
    """Ended on demand."""
    EXPIRED = "expired"
    """Its deadline passed first."""
    DEAD = "dead"
    """Given up: a dead letter keeps it with the reason, beside a failed result where its id could be read."""


class IllegalTransitionError(Exception):
    """A job was asked to make a move that the table does not list; nothing changed."""

    def __init__(self, before: JobState, after: JobState) -> None:
        super().__init__(f"a job cannot go from {before} to {after}")
        self.before = before
        self.after = after


S = JobState

TRANSITIONS: dict[JobState, dict[JobState, str]] = {
    S.QUEUED: {
        S.PARKED: "a dispatcher pulls it",
        S.CANCELLED: "cancelled",
        S.EXPIRED: "deadline passed",
        S.DEAD: "unreadable, or given out as often as the server may",
        S.FAILED: "refused: a field is wrong",
    },
    S.PARKED: {
        S.ASSIGNED: "a worker accepts it",
        S.QUEUED: "the dispatcher lost its lease",
        S.CANCELLED: "cancelled",
        S.EXPIRED: "deadline passed",
        S.FAILED: "refused: unknown adapter",
        S.DEAD: "given up: poison, or no worker serves it",
    },
    S.ASSIGNED: {
        S.RUNNING: "its row starts",
        S.QUEUED: "the worker died or handed it back",
        S.RETRYING: "snoozed: no room, or its adapter is not to be had now",
        S.CANCELLED: "cancelled",
        S.EXPIRED: "deadline passed",
        S.FAILED: "refused: bad prompt",
        S.DEAD: "given up: attempts used up",
    },
    S.RUNNING: {
        S.SUCCEEDED: "result stored",
        S.FAILED: "permanent failure",
        S.DEAD: "given up: attempts used up",
        S.RETRYING: "retryable failure, or snoozed",
        S.QUEUED: "the worker died",
        S.CANCELLED: "cancelled between two tokens",
        S.EXPIRED: "deadline passed",
    },
    S.RETRYING: {
        S.QUEUED: "back-off or snooze over",
        S.CANCELLED: "cancelled",
    },
    S.SUCCEEDED: {},
    S.FAILED: {},
    S.CANCELLED: {},
    S.EXPIRED: {},
    S.DEAD: {S.QUEUED: "redriven, under a new id"},
}


def move(before: JobState, after: JobState) -> JobState:
    """The state after a move.

    Raises:
        IllegalTransitionError: the table has no such move.
    """
    if after not in TRANSITIONS[before]:
        raise IllegalTransitionError(before, after)
    return after


def is_final(state: JobState) -> bool:
    """Whether a job in this state has its one answer."""
    return state in (S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED)


def diagram() -> str:
    """The table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> queued: published"]
    for before, moves in TRANSITIONS.items():
        lines += [f"    {before} --> {after}: {why}" for after, why in moves.items()]
        if is_final(before):
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines) + "\n"
