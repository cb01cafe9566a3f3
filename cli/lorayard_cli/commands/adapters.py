"""`lorayard adapters`: what the yard can serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from lorayard import Client, NoDispatcherError
from lorayard.placing import PlaceOptions
from lorayard_cli.adapter_sheet import sheet_lines
from lorayard_cli.connection import client
from lorayard_cli.fleet_tables import (
    adapter_table,
    apart,
    refusal_documents,
    refusal_table,
    refusals,
    residents_by_label,
    several_versions,
    trouble_documents,
)
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, print_json, print_text
from lorayard_cli.placements import placement_lines, read_replicas, tell_placed
from lorayard_schemas.placement import AdapterPriority, AdapterTier, PlacedAdapter

PLACEMENT = Group("Placement", sort_key=1)


@Parameter(name="*", group=PLACEMENT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What is declared; an option that is left out stays as it was."""

    tier: AdapterTier | None = None
    """`auto`: shared, and merged while its traffic alone fills most of a worker. `merged`: in the weights of
    workers that serve nothing else. `shared`: in slots beside others. `on-demand`: for its jobs only."""
    replicas: str | None = None
    """How many workers have it at hand, `MIN:MAX`; either may be left out, and one number is both."""
    on: Annotated[tuple[str, ...] | None, Parameter(negative="--anywhere")] = None
    """A worker's name, or `label=value` of its labels; may be given several times, and any may fit."""
    only: Annotated[bool | None, Parameter(negative="--prefer")] = None
    """Nowhere else, even if none of those lives: its jobs wait then."""
    pin: Annotated[bool | None, Parameter(negative="--unpin")] = None
    """Its replicas stay in their slots."""
    priority: AdapterPriority | None = None
    """Where slots, memory and disks are dealt out, one of its jobs counts as four with `high`, as a quarter
    of one with `low`. No job goes past one that is due by it, and no tenant past its share."""
    reset: Annotated[bool, Parameter(negative="")] = False
    """Begin from the defaults: all traffic decides."""

    def options(self) -> PlaceOptions:
        """As the client takes them."""
        made = PlaceOptions(reset=self.reset)
        if self.tier is not None:
            made["tier"] = self.tier.value
        if self.replicas is not None:
            made["replicas"] = read_replicas(self.replicas)
        if self.on is not None:
            made["on"] = self.on
        if self.only is not None:
            made["only"] = self.only
        if self.pin is not None:
            made["pin"] = self.pin
        if self.priority is not None:
            made["priority"] = self.priority.value
        return made


AS_IT_WAS = Where()


async def show(adapter: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show what is known of a version, and where it should be and is.

    Parameters
    ----------
    adapter
        Its name, for the newest version, or name@version.
    """
    async with client(yard) as connected:
        placed = await _placed(connected, adapter)
        record = await connected.adapters.find(placed.adapter if placed is not None else adapter)
        known = await connected.aliases.list()
        versions = [one for one in await connected.adapters() if one.name == record.name]
    aliases = [
        alias
        for alias in known
        if alias.adapter == record.name and record.version in {arm.version for arm in alias.arms}
    ]
    if output.json:
        where = {} if placed is None else {**placed.model_dump(mode="json"), "kept": placed.kept}
        told = [alias.model_dump(mode="json") for alias in aliases]
        others = [{"version": one.version, "state": one.state} for one in versions]
        print_json({**where, "record": record.model_dump(mode="json"), "aliases": told, "versions": others})
        return
    where_lines = ["placed     no dispatcher tells"] if placed is None else placement_lines(placed)[1:]
    print_text("\n".join([*sheet_lines(record, aliases), *where_lines]))
    if "@" not in adapter and len(versions) > 1:
        told_versions = f"{adapter} has {several_versions(versions)}"
        note(f"{told_versions}; this is {record.version}, and name@version shows another")


async def _placed(connected: Client, adapter: str) -> PlacedAdapter | None:
    """Where it is; None: no dispatcher says so, or it knows of none."""
    try:
        told = await connected.placements(adapter)
    except NoDispatcherError:
        return None
    return told.adapters[0] if told.adapters else None


async def place(
    adapter: str,
    *,
    where: Where = AS_IT_WAS,
    why: str = "",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Declare where an adapter shall be: how it is served, how often, and by whom.

    Ends with 5 when the fleet cannot hold it; nothing is changed then.

    Parameters
    ----------
    adapter
        Its name, for the newest version and those to come, or name@version.
    why
        Kept in the audit records.
    """
    options = where.options()
    options["reason"] = why
    async with client(yard) as connected:
        reply = await connected.place(adapter, **options)
    tell_placed(adapter, reply, as_json=output.json)


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the adapters the yard serves, which workers hold them in a slot, and what workers refuse."""
    async with client(yard) as connected:
        records, adverts = await connected.adapters(), await connected.workers()
    residents, refused = residents_by_label(records, adverts), refusals(adverts)
    refused, troubles = apart(refused, records)
    if output.json:
        documents = [
            {
                **record.model_dump(mode="json"),
                "workers": residents.get(record.label, []),
                "trouble": trouble_documents(troubles.get(record.label, {})),
            }
            for record in records
        ]
        print_json({"adapters": documents, "refused": refusal_documents(refused)})
        return
    if records:
        out().print(adapter_table(records, residents))
    for label, trouble in troubles.items():
        for adapter, workers in trouble.items():
            note(f"{label} is active, but {', '.join(workers)}: {adapter.reason}")
    if refused:
        out().print(refusal_table(refused))
    if not records and not refused:
        note(
            "no adapter is registered; start a worker with --adapters DIR, laid out as org/model/task/version"
        )
