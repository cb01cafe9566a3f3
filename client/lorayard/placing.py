"""Where adapters shall be, declared and asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from pydantic import ValidationError

from lorayard.asking import ask
from lorayard.errors import InvalidRequestError
from lorayard.known_names import check_names
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


async def place_adapter(link: Link, adapter: str, options: PlaceOptions) -> PlaceReply:
    """Declare where an adapter shall be.

    Raises:
        InvalidRequestError: it cannot be held; `field` and `reason` say what and why. Nothing was changed.
        NoDispatcherError, YardRefusedError, BusUnavailableError: nobody could be asked.
    """
    reply = await ask(link, "place", _wish(adapter, options), PlaceReply)
    if reply.refusal is not None:
        raise InvalidRequestError(field=reply.refusal.field, reason=reply.refusal.reason)
    return reply


async def ask_placements(link: Link, adapter: str | None) -> PlacementReport:
    """Where an adapter should be and is; None: all of which something is asked.

    Raises:
        NoDispatcherError, YardRefusedError, BusUnavailableError: nobody could be asked.
    """
    return await ask(link, "placements", AskPlacements(adapter=adapter), PlacementReport)


def _wish(adapter: str, options: PlaceOptions) -> PlaceAdapter:
    check_names(options, PlaceOptions.__annotations__)
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
