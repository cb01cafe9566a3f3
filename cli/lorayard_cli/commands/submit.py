"""`lorayard submit`: one prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lorayard.handle import JobHandle
from lorayard_cli.answers import show_result, wait_for
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative
from lorayard_cli.output import note, print_json, print_text
from lorayard_cli.prompts import no_option, read_prompt, read_schema


async def submit(
    prompt: Annotated[str | None, Parameter(allow_leading_hyphen=True, validator=no_option)] = None,
    *,
    file: Path | None = None,
    adapter: str | None = None,
    lane: Literal["urgent", "high", "normal", "bulk"] = "normal",
    wait: Annotated[bool, Parameter(negative="")] = False,
    timeout: Annotated[float | None, Parameter(validator=no_negative)] = None,  # noqa: ASYNC109  # the option's name
    deadline: float | None = None,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    seed: int | None = None,
    stop: Annotated[list[str] | None, Parameter(negative="")] = None,
    json_schema: Path | None = None,
    logprobs: int | None = None,
    session: str | None = None,
    idempotency_key: str | None = None,
    template: Literal["adapter", "none"] = "adapter",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Submit one prompt and print the job's id, or with --wait its answer.

    Parameters
    ----------
    prompt
        The text; - reads standard input, and so does a pipe without a prompt.
    file
        Read the prompt from this file.
    adapter
        org/model/task, with @version or not; base for the base model. Without it the yard chooses.
    lane
        How urgent it is.
    wait
        Wait for the answer and print it.
    timeout
        With --wait: give up waiting after so many seconds; the job goes on.
    deadline
        The job expires when it has no answer after so many seconds.
    max_new_tokens
        Length of the answer at most.
    temperature
        0 always takes the likeliest token.
    top_p
        Draw from the likeliest tokens that make up this share.
    top_k
        Draw from so many of the likeliest tokens; 0 from all.
    min_p
        Draw from the tokens that are at least this share as likely as the likeliest; 0 from all.
    seed
        Makes drawing repeatable.
    stop
        End the answer before this text; may be given again.
    json_schema
        The answer is JSON that fits the schema in this file.
    logprobs
        Tell the log-probability of each token, and of so many of the likeliest in its place (with --json).
    session
        Jobs of one session may be kept together.
    idempotency_key
        Submitting again with the same key gives the same job.
    template
        adapter puts the prompt into the form the adapter was trained on; none sends it as it is.
    """
    text = read_prompt(prompt, file)
    async with client(yard) as connected:
        handle = await connected.submit(
            text,
            adapter=adapter,
            lane=lane,
            deadline_seconds=deadline,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            min_p=min_p,
            seed=seed,
            stop=tuple(stop or ()),
            json_schema=None if json_schema is None else read_schema(json_schema),
            logprobs=logprobs,
            session=session,
            idempotency_key=idempotency_key,
            template=template,
        )
        if wait:
            return show_result(await wait_for(handle, timeout), as_json=output.json)
    _show_handle(handle, output)
    return ExitCode.OK


def _show_handle(handle: JobHandle, output: Output) -> None:
    if output.json:
        print_json({"job": handle.id, "existing": handle.existing})
        return
    print_text(handle.id)
    already = " (the yard had it already)" if handle.existing else ""
    note(f"queued{already}; its answer: lorayard result {handle.id} --wait")
