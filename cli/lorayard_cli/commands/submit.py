"""`lorayard submit`: one prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lorayard.client import Client
from lorayard.composition import Composition
from lorayard.handle import JobHandle
from lorayard_cli.answers import show_result, wait_for
from lorayard_cli.composing import UNSAID, AdapterOptions
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.following import show_stream
from lorayard_cli.moments import moment, read_moment
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative
from lorayard_cli.output import note, print_json, print_text
from lorayard_cli.prompts import no_option, read_prompt, read_schema
from lorayard_cli.retrying import NOTHING_SAID, RetryOptions
from lorayard_schemas.retry import Retry


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What the job asks for, and how long its answer is waited for."""

    lane: Literal["urgent", "high", "normal", "bulk"] = "normal"
    """How urgent it is."""
    wait: Annotated[bool, Parameter(negative="")] = False
    """Wait for the answer and print it."""
    stream: Annotated[bool, Parameter(negative="")] = False
    """Print the answer while it is written; with --json its events, one on a line, and then the result."""
    timeout: Annotated[float | None, Parameter(validator=no_negative)] = None
    """With --wait or --stream: give up waiting after so many seconds; the job goes on."""
    deadline: float | None = None
    """The job expires when it has no answer after so many seconds."""
    start_within: float | None = None
    """The job expires when it still waits after so many seconds; one that runs goes on."""
    run_limit: float | None = None
    """It ends so many seconds after its first step, with what it has."""
    run_limit_hard: float | None = None
    """It fails so many seconds after its first step."""
    delay: Annotated[float | None, Parameter(validator=no_negative)] = None
    """Start so many seconds from now."""
    at: Annotated[str | None, Parameter(validator=moment)] = None
    """Start then: 2026-12-01T07:00+01:00 (without a zone: of this machine), or unix seconds."""
    max_new_tokens: int = 256
    """Length of the answer at most."""
    temperature: float = 0.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that make up this share."""
    top_k: int = 0
    """Draw from so many of the likeliest tokens; 0 from all."""
    min_p: float = 0.0
    """Draw from the tokens that are at least this share as likely as the likeliest; 0 from all."""
    seed: int | None = None
    """Makes drawing repeatable."""
    stop: Annotated[list[str] | None, Parameter(negative="")] = None
    """End the answer before this text; may be given again."""
    json_schema: Path | None = None
    """The answer is JSON that fits the schema in this file."""
    logprobs: int | None = None
    """Tell the log-probability of each token, and of so many of the likeliest in its place (with --json)."""
    session: str | None = None
    """Jobs of one session may be kept together."""
    idempotency_key: str | None = None
    """Submitting again with the same key gives the same job."""
    wait_for_room: Annotated[float | None, Parameter(validator=no_negative)] = None
    """While the yard is full or a limit is used up, try again for so many seconds."""
    template: Literal["adapter", "none"] = "adapter"
    """adapter puts the prompt into the form the adapter was trained on; none sends it as it is."""


USUAL = JobOptions()


async def submit(
    prompt: Annotated[str | None, Parameter(allow_leading_hyphen=True, validator=no_option)] = None,
    *,
    file: Path | None = None,
    adapters: AdapterOptions = UNSAID,
    job: JobOptions = USUAL,
    again: RetryOptions = NOTHING_SAID,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Submit one prompt and print the job's id, or with --wait or --stream its answer.

    Parameters
    ----------
    prompt
        The text; - reads standard input, and so does a pipe without a prompt.
    file
        Read the prompt from this file.
    """
    made_of = adapters.composition  # whatever is wrong with it, before anybody is asked
    retry = again.wish()
    text = read_prompt(prompt, file)
    async with client(yard) as connected:
        handle = await _submitted(connected, text, adapters.single, made_of, job, retry)
        if job.stream:
            return await show_stream(handle, job.timeout, as_json=output.json)
        if job.wait:
            return show_result(await wait_for(handle, job.timeout), as_json=output.json)
    _show_handle(handle, output, later=job.delay is not None or job.at is not None)
    return ExitCode.OK


async def _submitted(
    connected: Client,
    text: str,
    adapter: str | None,
    made_of: Composition | None,
    job: JobOptions,
    retry: Retry | None,
) -> JobHandle:
    return await connected.submit(
        text,
        adapter=adapter,
        composition=made_of,
        lane=job.lane,
        deadline_seconds=job.deadline,
        start_within_seconds=job.start_within,
        run_limit_seconds=job.run_limit,
        run_limit_hard_seconds=job.run_limit_hard,
        delay_seconds=job.delay,
        at=None if job.at is None else read_moment(job.at),
        max_new_tokens=job.max_new_tokens,
        temperature=job.temperature,
        top_p=job.top_p,
        top_k=job.top_k,
        min_p=job.min_p,
        seed=job.seed,
        stop=tuple(job.stop or ()),
        json_schema=None if job.json_schema is None else read_schema(job.json_schema),
        logprobs=job.logprobs,
        session=job.session,
        idempotency_key=job.idempotency_key,
        template=job.template,
        retry=retry,
        stream=job.stream,
        wait_for_room_seconds=job.wait_for_room,
    )


def _show_handle(handle: JobHandle, output: Output, *, later: bool) -> None:
    if output.json:
        print_json({"job": handle.id, "existing": handle.existing})
        return
    print_text(handle.id)
    already = " (the yard had it already)" if handle.existing else ""
    taken = "scheduled" if later else "queued"
    note(f"{taken}{already}; its answer: lorayard result {handle.id} --wait")
