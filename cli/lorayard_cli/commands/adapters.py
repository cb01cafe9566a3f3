"""`lorayard adapters`: what the yard can serve."""

from __future__ import annotations

from lorayard_cli.connection import client
from lorayard_cli.fleet_tables import (
    adapter_table,
    refusal_documents,
    refusal_table,
    refusals,
    residents_by_digest,
)
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, print_json


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the adapters the yard serves, which workers hold them in a slot, and what workers refuse."""
    async with client(yard) as connected:
        records, adverts = await connected.adapters(), await connected.workers()
    residents, refused = residents_by_digest(adverts), refusals(adverts)
    if output.json:
        documents = [
            {**record.model_dump(mode="json"), "workers": residents.get(record.digest, [])}
            for record in records
        ]
        print_json({"adapters": documents, "refused": refusal_documents(refused)})
        return
    if records:
        out().print(adapter_table(records, residents))
    if refused:
        out().print(refusal_table(refused))
    if not records and not refused:
        note(
            "no adapter is registered; start a worker with --adapters DIR, laid out as org/model/task/version"
        )
