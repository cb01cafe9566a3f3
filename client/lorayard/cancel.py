"""The order to end a job, given to whichever dispatcher answers first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nats.errors
from nats.aio.msg import Msg

from lorayard.errors import BusUnavailableError, NoDispatcherError, UnreadableRecordError, YardRefusedError
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError

if TYPE_CHECKING:
    from lorayard.link import Link

ORDER = "cancel"
ANSWER_SECONDS = 5.0
"""A running job ends between two tokens, well under a second; but a fail-over of dispatchers takes some."""


async def cancel_job(link: Link, job_id: str) -> CancelOutcome:
    """End a job of the client's tenant.

    Raises:
        NoDispatcherError: nobody took the order.
        YardRefusedError: a dispatcher did, and answered with an error.
        BusUnavailableError: the bus is away.
    """
    if not link.bus.connected:
        raise BusUnavailableError(
            url=link.settings.url, reason="the connection is lost, trying to get it back"
        )
    body = encode(CancelJob(tenant=link.tenant, job=job_id))
    try:
        reply = await link.bus.nc.request(link.bus.subjects.dispatcher(ORDER), body, timeout=ANSWER_SECONDS)
    except nats.errors.NoRespondersError as error:
        raise NoDispatcherError(order=ORDER, reason="none is running") from error
    except nats.errors.TimeoutError as error:
        raise NoDispatcherError(order=ORDER, reason=f"no answer in {ANSWER_SECONDS:g} s") from error
    return _read(reply).outcome


def _read(reply: Msg) -> CancelReply:
    headers = reply.headers or {}
    if (description := headers.get("Nats-Service-Error")) is not None:
        code = headers.get("Nats-Service-Error-Code", "")
        raise YardRefusedError(order=ORDER, code=code, description=description)
    try:
        return decode(CancelReply, reply.data)
    except MalformedMessageError as error:
        raise UnreadableRecordError(place="the answer to a cancel", reason=str(error)) from error
