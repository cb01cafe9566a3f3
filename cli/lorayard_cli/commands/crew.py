"""`lorayard workers add|remove`: more workers for a running `lorayard up`, or fewer."""

from __future__ import annotations

import asyncio
from typing import Annotated

import nats.errors
from cyclopts import Parameter

from lorayard import Client
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative
from lorayard_cli.output import print_json, print_text
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.crew import ChangeCrew, CrewReply
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import connect

ANSWER_SECONDS = 5.0
LOOK_SECONDS = 0.2

Seconds = Annotated[float, Parameter(validator=no_negative)]


async def add(
    count: int = 1,
    *,
    timeout: Seconds = 180.0,  # noqa: ASYNC109  # an option
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Start more workers in the yard of `lorayard up`, like those it has, and wait until they serve.

    Parameters
    ----------
    count
        How many.
    timeout
        Ends with 9 when one does not serve after so many seconds; it goes on starting.
    """
    if count < 1:
        raise CommandError(ExitCode.USAGE, "usage", "start at least one", field="count")
    reply = await _order(yard, ChangeCrew(add=count))
    async with client(yard) as connected:
        await _until(connected, frozenset(reply.added), frozenset(), timeout)
    _show(reply, output, f"{', '.join(reply.added)} serve")


async def remove(
    *names: str,
    timeout: Seconds = 600.0,  # noqa: ASYNC109  # an option
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Stop workers of the yard of `lorayard up` for good, in order, and wait until they have gone.

    What has not begun there is handed back at once; what runs has LORAYARD_DRAIN_SECONDS. To interrupt
    nothing, however long it takes, `lorayard workers drain NAME --wait` before.

    Parameters
    ----------
    names
        The workers.
    timeout
        Ends with 9 when one has not gone after so many seconds; it goes on draining.
    """
    if not names:
        raise CommandError(ExitCode.USAGE, "usage", "name the workers", field="names")
    reply = await _order(yard, ChangeCrew(remove=tuple(dict.fromkeys(names))))
    async with client(yard) as connected:
        await _until(connected, frozenset(), frozenset(reply.removing), timeout)
    _show(reply, output, f"{', '.join(reply.removing)} drained and gone")


async def _order(yard: YardAddress, order: ChangeCrew) -> CrewReply:
    async with await connect(yard.settings(), name="cli-workers") as bus:
        try:
            answer = await bus.nc.request(bus.subjects.crew, encode(order), timeout=ANSWER_SECONDS)
            reply = decode(CrewReply, answer.data)
        except (nats.errors.Error, MalformedMessageError) as error:
            raise CommandError(
                ExitCode.NOT_READY,
                "no_supervisor",
                "no `lorayard up` runs this yard; start and stop its workers where they were started",
            ) from error
    if reply.refusal is not None:
        raise CommandError(ExitCode.USAGE, "refused", reply.refusal)
    return reply


async def _until(connected: Client, there: frozenset[str], gone: frozenset[str], seconds: float) -> None:
    """Until workers have been heard, or are not any more."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                living = {advert.worker for advert in await connected.workers()}
                if there <= living and gone.isdisjoint(living):
                    return
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError as error:
        late = ", ".join(sorted(there | gone))
        raise CommandError(
            ExitCode.TIMED_OUT, "timed_out", f"{late}: not done after {seconds:g} s"
        ) from error


def _show(reply: CrewReply, output: Output, said: str) -> None:
    if output.json:
        print_json({"added": reply.added, "removed": reply.removing, "workers": reply.workers})
    else:
        print_text(f"{said}; this yard has {', '.join(reply.workers) or 'none'} now")
