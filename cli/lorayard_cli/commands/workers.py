"""`lorayard workers`: the fleet."""

from __future__ import annotations

from lorayard_cli.connection import client
from lorayard_cli.fleet_tables import names_by_digest, worker_documents, worker_table
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, print_json


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
