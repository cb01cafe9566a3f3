"""What plays the model in a test: a function from a job to its answer, or to why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorayard_schemas.job import Job, Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class YardJob:
    """A job as a handler gets it."""

    id: str
    tenant: str
    lane: Lane
    adapter: str | None
    """As the job names it; None: it leaves the choice to the yard."""
    prompt: str
    """The whole text, also of one too long for a message; of a conversation its last turn."""
    attempt: int
    """1 for the first."""
    deliveries: int
    """How often this attempt was given out: more than once after a worker was lost."""
    request: Job
    """Everything that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A text with what else a result says of it. A handler that returns a `str` says only the text."""

    text: str
    pieces: Sequence[str] | None = None
    """As it is streamed, where the job asked for that; None: four characters at a time."""
    finish_reason: str = "stop"
    """`stop`, `length` or `time`."""
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    """None: one for each character, as the echo engine counts."""
    took_seconds: float = 0.0
    """How long the run shall have taken, for the job's run limits and its timings. The clock stands still."""


class Retryable(Exception):  # noqa: N818  # an outcome of a run, told as one
    """The run failed in a way that may pass: the job is tried again, as its retry policy says.

    The codes are those of docs/job-lifecycle.md; one of the class `not_now` costs no attempt.
    """

    def __init__(
        self, code: str = "engine_error", message: str = "the engine failed, as the test wants"
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Permanent(Exception):  # noqa: N818  # as above
    """No run can succeed: the job fails at once."""

    def __init__(
        self,
        code: str = "bad_prompt",
        message: str = "it cannot be answered, as the test wants",
        *,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class WorkerLost(Exception):  # noqa: N818  # nothing is wrong with the job: it is told as an event
    """The worker dies under the job: its lease runs out, and the job is given out again."""


Handler = Callable[[YardJob], str | Answer]
"""Returns the answer, or raises `Retryable`, `Permanent` or `WorkerLost`. Whatever else it raises is the
test's own mistake: it comes out where the job was to be worked on, and the job stays queued."""


def echo(job: YardJob) -> str:
    """The prompt, as the echo engine of a real yard answers."""
    return job.prompt
