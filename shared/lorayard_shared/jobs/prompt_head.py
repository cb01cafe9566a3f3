"""The beginning of a job's prompt, by which its meaning is judged."""

from __future__ import annotations

from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import HEAD_CHARACTERS, Job
from lorayard_schemas.plain_job import read_job

USER = "user"


def prompt_head(body: bytes) -> str:
    """Of a job's message; empty where nothing is known of its text.

    Of a conversation what the user has said, the newest first: what is cut is the oldest.
    """
    try:
        job = read_job(body)
    except MalformedMessageError:
        return ""
    return head_of(job)


def head_of(job: Job) -> str:
    """The same of a job that is read."""
    if job.prompt is not None:
        return job.prompt[:HEAD_CHARACTERS]
    if job.prompt_ref is not None:
        return job.prompt_ref.head
    said = [turn.content for turn in job.messages or () if turn.role == USER]
    return "\n".join(reversed(said))[:HEAD_CHARACTERS]
