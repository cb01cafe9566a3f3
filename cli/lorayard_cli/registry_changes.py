"""What commands that change the registry have in common: a connection, who asks, and what is registered."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cyclopts import Group, Parameter

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import YardAddress
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.names import check_adapter_spec, is_alias, split_version
from lorayard_schemas.seat import DISPATCHER_KEY, DispatcherAdvert
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.registry.actor import default_actor
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.route_store import RouteStore

RECORD = Group("Record", sort_key=50)


@Parameter(name="*", group=RECORD)
@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who changes something, and why."""

    why: str = ""
    """Kept with the change, and in the audit records."""
    by: str | None = None
    """Who you are; else LORAYARD_ACTOR, else user@host."""

    @property
    def author(self) -> Author:
        """As it is kept."""
        return Author(
            actor=self.by or os.environ.get("LORAYARD_ACTOR", "") or default_actor(), reason=self.why
        )


UNSIGNED = Signature()


@asynccontextmanager
async def bus(yard: YardAddress) -> AsyncGenerator[Bus]:
    """A connection to the addressed yard."""
    async with await connect(yard.settings(), name="cli") as connected:
        yield connected


async def registry(connected: Bus) -> AdapterRegistry:
    """Every registered version."""
    found = AdapterRegistry()
    for record in await Chronicle(connected, "adapters", AdapterRecord, told=lambda one: one.state).list():
        found.add(record)
    return found


async def directory(connected: Bus) -> Directory:
    """Adapters, aliases, rules and default of the yard as they are now."""
    seats = Chronicle(
        connected, "dispatchers", DispatcherAdvert, told=lambda one: one.dispatcher, prefix=DISPATCHER_KEY
    )
    adverts = await seats.list()
    default = next((one.default_adapter for one in adverts), connected.settings.default_adapter)
    made = Directory(await registry(connected), default)
    for record in await AliasStore(connected).list():
        made.aliases.add(record)
    past = await RouteStore(connected).past()
    if past:
        made.rules.put(past[-1])
    return made


def read_alias(text: str) -> tuple[str, str]:
    """An adapter's name and an alias.

    Raises:
        CommandError: it is not `name@alias`.
    """
    try:
        name, word = split_version(check_adapter_spec(text))
    except ValueError as error:
        raise CommandError(ExitCode.BAD_INPUT, "bad_input", str(error), field="alias") from error
    if word is None or not is_alias(word):
        raise CommandError(
            ExitCode.BAD_INPUT,
            "bad_input",
            f"{text!r} is no alias: write {{org}}/{{model-family}}/{{task}}@word, lower-case letters and - "
            "inside; what has a digit is a version",
            field="alias",
        )
    return name, word
