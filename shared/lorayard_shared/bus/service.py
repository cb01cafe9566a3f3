"""What the micro services of a yard share: how they read requests, and end though the bus is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeVar, cast

import nats.errors
import structlog
from nats.aio.subscription import Subscription
from nats.micro.request import Request
from nats.micro.service import Endpoint, Service

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event

M = TypeVar("M", bound=Message)

END_SECONDS = 2.0
"""For all endpoints together: each is taken down with a round trip to the server, and answers what it has."""


async def read_request(kind: type[M], request: Request) -> M | None:
    """What is asked; None: it cannot be read, and was answered so."""
    try:
        return decode(kind, request.data)
    except MalformedMessageError as error:
        log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        log.error(Event.MESSAGE_MALFORMED, subject=request.subject, field=error.field, reason=error.reason)
        await request.respond_error(code="400", description=str(error))
        return None


async def end_service(bus: Bus, service: Service) -> None:
    """Take the service down, as far as it has come, and answer what came before: the connection may go on."""
    for own in cast("dict[str, Subscription]", service._subscriptions).values():  # pyright: ignore[reportPrivateUsage]
        with suppress(nats.errors.Error):
            await own.unsubscribe()
    endpoints = cast("list[Endpoint]", service._endpoints)  # pyright: ignore[reportPrivateUsage]
    found = [one._subscription for one in endpoints]  # pyright: ignore[reportPrivateUsage]
    ends = [end for end in found if end is not None]
    if not bus.connected:
        for end in ends:  # else they are there again with the connection
            with suppress(nats.errors.Error):
                await end.unsubscribe()
        return
    # `Service.stop` drops what has come and is not read yet: whoever asked would wait in vain.
    with suppress(nats.errors.Error, TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*(_drain(end) for end in ends))


async def _drain(end: Subscription) -> None:
    await end.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it open
