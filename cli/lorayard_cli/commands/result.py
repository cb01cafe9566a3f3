"""`lorayard result`: what became of a job."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.answers import show_result, wait_for
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative


async def result(
    job: str,
    *,
    wait: Annotated[bool, Parameter(negative="")] = False,
    timeout: Annotated[float | None, Parameter(validator=no_negative)] = None,  # noqa: ASYNC109  # the option's name
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Print a job's result.

    Parameters
    ----------
    job
        The id that `submit` printed.
    wait
        Wait until there is one.
    timeout
        With --wait: give up waiting after so many seconds; the job goes on.
    """
    async with client(yard) as connected:
        handle = connected.handle(job)
        if not wait and not await handle.done():
            raise CommandError(
                ExitCode.NOT_READY,
                "no_result",
                f"job {job} has no result: it has not finished, or there is no such job; --wait waits for it",
                field="job",
            )
        return show_result(await wait_for(handle, timeout), as_json=output.json)
