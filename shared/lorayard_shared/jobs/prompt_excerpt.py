"""What a job's prompt is judged by: all of a short one, both ends of a long one."""

from __future__ import annotations

from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job, excerpt
from lorayard_schemas.plain_job import read_job

USER = "user"


def prompt_excerpt(body: bytes) -> str:
    """Of a job's message; empty where nothing is known of its text.

    Of a conversation what the user has said, the newest first.
    """
    try:
        job = read_job(body)
    except MalformedMessageError:
        return ""
    return excerpt_of(job)


def excerpt_of(job: Job) -> str:
    """The same of a job that is read."""
    if job.prompt is not None:
        return excerpt(job.prompt)
    if job.prompt_ref is not None:
        return job.prompt_ref.excerpt
    said = [turn.content for turn in job.messages or () if turn.role == USER]
    return excerpt("\n".join(reversed(said)))
