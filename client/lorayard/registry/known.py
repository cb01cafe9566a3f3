"""What chooses adapters in a yard, read from the bus as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.names import BASE, split_version
from lorayard_schemas.seat import DISPATCHER_KEY, DispatcherAdvert
from lorayard_shared.errors import YardError
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.classifier_shelf import ClassifierShelf
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.semantic_watch import fetch_standing

if TYPE_CHECKING:
    from lorayard_shared.bus.connection import Bus


async def read_registry(bus: Bus) -> AdapterRegistry:
    """Every registered version.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    found = AdapterRegistry()
    for record in await Chronicle(bus, "adapters", AdapterRecord, told=lambda one: one.state).list():
        found.add(record)
    return found


def is_registered(known: AdapterRegistry, adapter: str) -> bool:
    """Whether an adapter, or a version of it, is there; the base model always is."""
    if adapter == BASE:
        return True
    name, version = split_version(adapter)
    versions = known.known.get(name, {})
    return bool(versions) if version is None else version in versions


async def read_directory(bus: Bus) -> Directory:
    """Adapters, aliases, rules and default of the yard, as its dispatcher has them.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    seats = Chronicle(
        bus, "dispatchers", DispatcherAdvert, told=lambda one: one.dispatcher, prefix=DISPATCHER_KEY
    )
    adverts = await seats.list()
    default = next((one.default_adapter for one in adverts), bus.settings.default_adapter)
    made = Directory(await read_registry(bus), default)
    for record in await AliasStore(bus).list():
        made.aliases.add(record)
    past = await RouteStore(bus).past()
    if past:
        made.rules.put(past[-1])
    return made


async def read_classifier(bus: Bus, there: Directory, *, fetch: bool) -> None:
    """Have a directory ask the classifier in force; what cannot be had abstains, as in a dispatcher.

    Without `fetch` it is not brought to this machine, and abstains.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    record = await SemanticStore(bus).now()
    if record is None or not record.is_on:
        return
    if not fetch:
        there.semantic.put(None, "no prompt was given")
        return
    try:
        shelf = ClassifierShelf(bus, bus.settings.classifiers_dir)
        there.semantic.put(await fetch_standing(shelf, record))
    except YardError as error:
        there.semantic.put(None, str(error))
