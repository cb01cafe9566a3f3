"""`lorayard cancel`: end a job."""

from __future__ import annotations

from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import print_json, print_text
from lorayard_schemas.assignment import CancelOutcome


async def cancel(job: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> int:
    """Cancel a job, queued or running. Ends with 1 when it had finished before.

    Parameters
    ----------
    job
        The id that `submit` printed.
    """
    async with client(yard) as connected:
        outcome = await connected.handle(job).cancel()
    if output.json:
        print_json({"job": job, "outcome": outcome.value})
    else:
        said = (
            "is cancelled" if outcome is CancelOutcome.CANCELLED else "had finished before; its result stands"
        )
        print_text(f"job {job} {said}")
    return ExitCode.OK if outcome is CancelOutcome.CANCELLED else ExitCode.FAILED
