"""`lorayard events`: follow a job while it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.connection import client
from lorayard_cli.following import show_events
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative


async def events(
    job: str,
    *,
    after: int = 0,
    timeout: Annotated[float | None, Parameter(validator=no_negative)] = None,  # noqa: ASYNC109  # the option's name
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Print what happens to a job, a line for each event, until it has ended.

    A job that was not submitted with --stream has its text in one piece, at the end. The exit code says how
    the job ended, as that of `result` does.

    Parameters
    ----------
    job
        The id that `submit` printed.
    after
        Go on behind the event of this sequence.
    timeout
        Give up after so many seconds; the job goes on.
    """
    async with client(yard) as connected:
        handle = connected.handle(job)
        return await show_events(handle, after=after, timeout_seconds=timeout, as_json=output.json)
