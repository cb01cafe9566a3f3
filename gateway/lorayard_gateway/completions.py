"""`/v1/chat/completions` and `/v1/completions`."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sse_starlette import EventSourceResponse
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from lorayard import Client, InvalidRequestError, JobHandle
from lorayard.job_status import JobPlace
from lorayard.openai_shapes import Asked, Endpoint, completion_body, read_body, read_unjudged
from lorayard_gateway.chunks import Chunks
from lorayard_gateway.errors import bad_header, stream_unknown
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.place import Place, read_place
from lorayard_gateway.replies import json_reply
from lorayard_gateway.streams import Stream
from lorayard_gateway.wishes import RESUME, read_wishes
from lorayard_gateway.work import Work, submit


async def answer(gateway: Gateway, request: Request, tenant: str, request_id: str) -> Response:
    """A whole answer, or the stream of one.

    Raises:
        ApiError, LorayardError: there is none, and why.
        ClientGoneError: nobody waits for it.
    """
    wishes = read_wishes(request.headers)
    body = await gateway.bodies.json(request)
    endpoint = Endpoint.CHAT if request.scope["path"] == Endpoint.CHAT else Endpoint.COMPLETIONS
    asked = read_unjudged(endpoint, body, beside=wishes.beside(request_id))
    if wishes.idempotency_key is not None:
        asked = asked.keyed(wishes.idempotency_key)
    client = await gateway.client(tenant)
    place = _place(request.headers, asked)
    try:
        handles = await submit(client, asked) if place is None else [await _begun(client, place)]
    except InvalidRequestError:
        read_body(endpoint, body)  # tells the field as the body names it
        raise
    work = Work(gateway, client, handles, goes_on=wishes.goes_on)
    if not asked.stream:
        results = await work.results(request.receive)
        return json_reply(completion_body(asked, results, created=time.time()))
    stream = Stream(gateway, work, Chunks(asked, handles[0].id), place)
    await stream.first(request.receive)
    return EventSourceResponse(
        stream.events(),
        ping=gateway.settings.gateway_ping_seconds,
        send_timeout=gateway.settings.gateway_send_seconds,
        sep="\n",
        background=BackgroundTask(stream.close),  # of a stream whose reader left before its first byte
    )


async def _begun(client: Client, place: Place) -> JobHandle:
    handle = client.handle(place.job)
    if (await handle.status()).place is JobPlace.UNKNOWN:
        raise stream_unknown()
    return handle


def _place(headers: Mapping[str, str], asked: Asked) -> Place | None:
    given = headers.get(RESUME)
    if not given:
        return None
    place = read_place(given)
    if place is None or not asked.stream or len(asked.requests) > 1:
        raise bad_header(RESUME, "the id of an event is needed, of a stream of one choice")
    return place
