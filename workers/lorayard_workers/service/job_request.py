"""From a job that is held to what the engine is asked for, or to why it cannot be asked."""

from __future__ import annotations

from collections.abc import Mapping

from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_shared.adapters.prompt_template import fill
from lorayard_shared.errors import PayloadMissingError, YardError
from lorayard_shared.value import value
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import ChatMessage, GenerationRequest
from lorayard_workers.errors import CapacityError
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.job_composition import engine_composition
from lorayard_workers.service.job_sampling import engine_sampling

CHUNK_SECONDS = 0.05
"""20 events a second read as fluently as one for each token, and cost far less."""

Prompt = str | tuple[ChatMessage, ...]


@value
class RunLimits:
    """How long a worker lets rows run; None: as long as they want."""

    default_seconds: float | None = None
    """Of jobs that do not say."""
    most_seconds: float | None = None
    """Whatever they say."""

    def soft_seconds(self, asked: float | None) -> float | None:
        """After so long a row ends with what it has."""
        wanted = asked if asked is not None else self.default_seconds
        if wanted is None or self.most_seconds is None:
            return wanted if wanted is not None else self.most_seconds
        return min(wanted, self.most_seconds)


UNLIMITED = RunLimits()


def request_of(
    held: HeldJob,
    job: Job,
    prompt: Prompt,
    templates: Mapping[str, str],
    limits: RunLimits = UNLIMITED,
) -> GenerationRequest:
    """As the engine takes it; `templates` are by adapter digest."""
    made_of = held.assigned.composition
    digest = held.assigned.adapter.digest if held.assigned.adapter else None
    # Of a composition the first part knows the form.
    template = templates.get((digest if made_of is None else made_of.parts[0].digest) or "")
    return GenerationRequest(
        request_id=held.key,
        prompt=_in_template(job, template, prompt),
        adapter=digest,
        composition=None if made_of is None else engine_composition(made_of),
        sampling=engine_sampling(job.sampling),
        deadline=job.deadline,
        start_by=job.start_by if held.assigned.attempt == 1 else None,
        run_seconds=limits.soft_seconds(job.run_limit_seconds),
        run_hard_seconds=job.run_limit_hard_seconds,
        chunk_seconds=CHUNK_SECONDS if job.stream else 0.0,
    )


def _in_template(job: Job, template: str | None, prompt: Prompt) -> Prompt:
    # An empty prompt stays empty, so that it is refused.
    if template is None or job.template == "none" or not prompt or not isinstance(prompt, str):
        return prompt
    return fill(template, prompt)


def unreadable(held: HeldJob, error: MalformedMessageError | PayloadMissingError) -> Failed:
    """The job, or the prompt that it refers to, cannot be read."""
    malformed = isinstance(error, MalformedMessageError)
    return Failed(
        request_id=held.key,
        kind=FailureKind.PERMANENT,
        code="malformed_job" if malformed else "payload_missing",
        message=str(error),
        field=error.field if isinstance(error, MalformedMessageError) else "prompt_ref",
    )


def not_fetched(held: HeldJob, error: Exception) -> Failed:
    """Its adapter's files are not to be had now: the store lacks some, or the moment is wrong."""
    code = "adapter_not_fetched"
    if isinstance(error, CapacityError):
        code = "no_room"
    elif not isinstance(error, YardError):
        code = "store_unreachable"
    return Failed(
        request_id=held.key,
        kind=FailureKind.RETRYABLE,
        code=code,
        message=f"the adapter's files could not be fetched from the store: {error}",
        field="adapter",
    )
