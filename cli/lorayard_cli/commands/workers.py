"""`lorayard workers`: the fleet."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.fleet_tables import names_by_digest, worker_documents, worker_table
from lorayard_cli.moments import shown as moment
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.worker_ends import worker_ends
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.audit import WorkerEndRecord
from lorayard_shared.bus.connection import connect


async def show(
    name: str,
    *,
    stacks: Annotated[bool, Parameter(negative="")] = False,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Show one worker, and why earlier lives of it ended themselves. Ends with 1 when nothing is known of it.

    Parameters
    ----------
    name
        The worker.
    stacks
        Show where every thread stood when it hung.
    """
    async with client(yard) as connected, await connect(yard.settings(), name="cli-workers") as bus:
        adverts = [advert for advert in await connected.workers() if advert.worker == name]
        names = names_by_digest(await connected.adapters())
        ends = await worker_ends(bus, name)
    if output.json:
        alive = worker_documents(adverts, names)
        print_json(
            {"worker": alive[0] if alive else None, "ends": [end.model_dump(mode="json") for end in ends]}
        )
    else:
        _print(name, adverts, names, ends, stacks=stacks)
    return ExitCode.OK if adverts or ends else ExitCode.FAILED


def _print(
    name: str,
    adverts: list[WorkerAdvert],
    names: dict[str, str],
    ends: list[WorkerEndRecord],
    *,
    stacks: bool,
) -> None:
    if adverts:
        out().print(worker_table(adverts, names))
    else:
        note(f"no worker {name} is alive")
    if not ends:
        note("no life of it has ended itself, as far as the audit records reach")
        return
    shown = table("ended", "at", "memory", "jobs", "why", right=("memory", "jobs"))
    for end in ends:
        memory = f"{end.resident_bytes / 2**20:.0f} MiB"
        shown.add_row(*map(plain, (end.end.value, moment(end.at), memory, str(len(end.jobs)), end.reason)))
    out().print(shown)
    last = next((end for end in reversed(ends) if end.stacks), None)
    if last is not None and stacks:
        print_text(last.stacks)
    elif last is not None:
        note(f"where its threads stood: lorayard workers show {name} --stacks")


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the workers and what they hold."""
    async with client(yard) as connected:
        adverts = await connected.workers()
        names = names_by_digest(await connected.adapters())
    if output.json:
        print_json({"workers": worker_documents(adverts, names)})
    elif adverts:
        out().print(worker_table(adverts, names))
    else:
        note("no worker is alive; start one with `lorayard worker` or a whole yard with `lorayard up`")
