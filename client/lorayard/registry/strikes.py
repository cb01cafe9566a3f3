"""`client.strikes`: jobs that wait because somebody said so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError
from lorayard.registry.known import is_registered, read_registry
from lorayard_schemas.names import BASE
from lorayard_schemas.reasons import plain_reason
from lorayard_schemas.strike import Strike
from lorayard_shared.registry.strike_store import StrikeStore

if TYPE_CHECKING:
    from lorayard.link import Link
    from lorayard_shared.registry.records import Author


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeReport:
    """What striking did."""

    strike: Strike
    registered: bool
    """Whether what it names is there; a strike that hits nothing is more often a typing error than a
    precaution. The base model is always there, and any tenant."""


class Strikes:
    """The strikes of one yard. What runs when one comes runs on.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def list(self) -> list[Strike]:
        """What is struck, the longest first."""
        link = self._open_link()
        async with Answering(link):
            return await StrikeStore(link.bus).list()

    async def add(
        self, *, adapter: str | None = None, tenant: str | None = None, reason: str
    ) -> StrikeReport:
        """Have jobs of an adapter, a version (`name@version`), a tenant or a pair wait until it is lifted.

        What is struck already gets the newer reason, which whoever asks why a job waits is told.

        Raises:
            InvalidRequestError: neither is named, one of them cannot be, or there is no reason.
            ContendedError: others changed it every time that this was tried.
        """
        link = self._open_link()
        author = link.author(reason)
        strike = _strike(adapter, tenant, author)
        async with Answering(link):
            await StrikeStore(link.bus).add(strike, author)
            registered = is_registered(await read_registry(link.bus), strike.adapter or BASE)
        return StrikeReport(strike=strike, registered=registered)

    async def lift(self, *, adapter: str | None = None, tenant: str | None = None, reason: str = "") -> None:
        """Let jobs run again, of just what was struck.

        Raises:
            StrikeUnknownError: just this was not struck.
            ContendedError: others changed it every time that this was tried.
        """
        link = self._open_link()
        async with Answering(link):
            await StrikeStore(link.bus).lift(adapter, tenant, link.author(reason))


def _strike(adapter: str | None, tenant: str | None, author: Author) -> Strike:
    if not author.reason:
        raise InvalidRequestError(field="reason", reason="say why: whoever asks why a job waits is told")
    try:
        return Strike(adapter=adapter, tenant=tenant, why=author.reason, by=author.actor, at=time.time())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "adapter"
        field = "reason" if field == "why" else field
        reason = plain_reason(first)
        raise InvalidRequestError(field=field, reason=reason) from error
