"""Ask whichever dispatcher answers first."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import nats.errors

from lorayard.answering import Answering
from lorayard.errors import NoDispatcherError, UnreadableRecordError, YardRefusedError
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message

if TYPE_CHECKING:
    from lorayard.link import Link

ANSWER_SECONDS = 5.0
"""What is asked takes well under a second; but a fail-over of dispatchers takes some."""

ALIVE_SECONDS = 1.0
"""For the server to say that it is there."""

M = TypeVar("M", bound=Message)


async def ask(
    link: Link, order: str, body: Message, answer: type[M], *, seconds: float = ANSWER_SECONDS
) -> M:
    """Send an order and read the answer.

    Raises:
        NoDispatcherError: nobody took the order.
        YardRefusedError: a dispatcher did, and answered with an error.
        BusUnavailableError: the bus is away.
    """
    async with Answering(link):
        try:
            subject = link.bus.subjects.dispatcher(order)
            reply = await link.bus.nc.request(subject, encode(body), timeout=seconds)
        except nats.errors.NoRespondersError as error:
            raise NoDispatcherError(order=order, reason="none is running") from error
        except nats.errors.TimeoutError as error:
            if not await link.bus.answers(ALIVE_SECONDS):
                raise  # the bus is away, and says nothing of dispatchers
            raise NoDispatcherError(order=order, reason=f"no answer in {seconds:g} s") from error
    headers = reply.headers or {}
    if (description := headers.get("Nats-Service-Error")) is not None:
        code = headers.get("Nats-Service-Error-Code", "")
        raise YardRefusedError(order=order, code=code, description=description)
    try:
        return decode(answer, reply.data)
    except MalformedMessageError as error:
        raise UnreadableRecordError(place=f"the answer to a {order}", reason=str(error)) from error
