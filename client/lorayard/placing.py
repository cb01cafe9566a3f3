"""Where adapters shall be, declared and asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from pydantic import ValidationError

from lorayard.asking import ask
from lorayard.errors import InvalidRequestError
from lorayard.known_names import check_names
from lorayard_schemas.names import check_adapter_spec
from lorayard_schemas.placement import AskPlacements, PlaceAdapter, PlacementReport, PlaceReply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorayard.link import Link


class PlaceOptions(TypedDict, total=False):
    """What may be declared of an adapter; what is left out stays as it was."""

    tier: str
    """`auto`, `merged`, `shared` or `on_demand`."""
    replicas: tuple[int | None, int | None]
    """At least, at most; None: 0, and any number."""
    on: Sequence[str]
    """Names of workers, or `label=value`; empty: all."""
    only: bool
    """Nowhere else, even if none of those lives."""
    pin: bool
    """Its replicas stay in their slots."""
    priority: str
    """`low`, `normal` or `high`: what its jobs count where slots, memory and disks are dealt out."""
    reset: bool
    """Begin from the defaults."""
    reason: str
    """Why, for the audit trail."""


async def place_adapter(link: Link, adapter: str, options: PlaceOptions) -> PlaceReply:
    """Declare where an adapter shall be.

    Raises:
        InvalidRequestError: it cannot be held; `field` and `reason` say what and why. Nothing was changed.
        NoDispatcherError, YardRefusedError, BusUnavailableError: nobody could be asked.
    """
    reply = await ask(link, "place", _wish(adapter, options), PlaceReply)
    if reply.refusal is not None:
        raise InvalidRequestError(field=reply.refusal.field, reason=reply.refusal.reason)
    await _tell(link, adapter, reply, options)
    return reply


async def _tell(link: Link, adapter: str, reply: PlaceReply, options: PlaceOptions) -> None:
    """Who declared it, for the audit trail. It stands: what is lost of the record is logged."""
    from lorayard_schemas.audit import RegistryChange
    from lorayard_shared.registry.audit import tell_change  # only who changes something needs it

    placement = reply.placement
    if placement is None:
        return
    verb = "place" if "pin" not in options else "pin" if placement.pin else "unpin"
    change = RegistryChange(
        at=placement.declared_at,
        actor=link.settings.actor,
        verb=verb,
        what="placements",
        key=adapter,
        revision=reply.revision,
        before="" if reply.before is None else reply.before.told,
        after=placement.told,
        reason=options.get("reason", ""),
    )
    await tell_change(link.bus, change)


async def ask_placements(link: Link, adapter: str | None) -> PlacementReport:
    """Where an adapter should be and is; None: all of which something is asked.

    Raises:
        NoDispatcherError, YardRefusedError, BusUnavailableError: nobody could be asked.
    """
    return await ask(link, "placements", AskPlacements(adapter=adapter), PlacementReport)


def _wish(adapter: str, options: PlaceOptions) -> PlaceAdapter:
    check_names(options, PlaceOptions.__annotations__)
    _check_adapter(adapter)
    least, most = options.get("replicas", (None, None))
    on = options.get("on")
    try:
        return PlaceAdapter(
            adapter=adapter,
            tier=options.get("tier"),
            replicas_min=least or 0 if "replicas" in options else None,
            replicas_max=most,
            no_replicas_max="replicas" in options and most is None,
            on=None if on is None else tuple(on),
            only=options.get("only"),
            pin=options.get("pin"),
            priority=options.get("priority"),
            reset=options.get("reset", False),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequestError(field=".".join(map(str, first["loc"])), reason=first["msg"]) from error


def _check_adapter(adapter: str) -> None:
    try:
        check_adapter_spec(adapter)
    except ValueError as error:
        raise InvalidRequestError(field="adapter", reason=str(error)) from error
