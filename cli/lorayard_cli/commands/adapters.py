"""`lorayard adapters`: what the yard can serve."""

from __future__ import annotations

from lorayard_cli.connection import client
from lorayard_cli.fleet_tables import adapter_table, residents_by_digest
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, print_json


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the adapters the yard serves, and which workers hold them in a slot."""
    async with client(yard) as connected:
        records = await connected.adapters()
        residents = residents_by_digest(await connected.workers())
    if output.json:
        documents = [
            {**record.model_dump(mode="json"), "workers": residents.get(record.digest, [])}
            for record in records
        ]
        print_json({"adapters": documents})
    elif records:
        out().print(adapter_table(records, residents))
    else:
        note(
            "no adapter is registered; start a worker with --adapters DIR, laid out as org/model/task/version"
        )
