"""What surrounds every request: its id, who asks, its faults, and a line in the log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import nats.errors
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from lorayard.errors import BusUnavailableError, LorayardError
from lorayard_gateway.errors import ApiError, unexpected
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.replies import error_reply
from lorayard_gateway.wishes import REQUEST_ID, request_id
from lorayard_gateway.work import ClientGoneError
from lorayard_shared.logs import Event

GONE = 499
"""Nobody hears it; it stands in the log."""

_ID_HEADER = REQUEST_ID.encode()

Handler = Callable[[Gateway, Request, str, str], Awaitable[Response]]
"""Of the gateway, the request, its tenant and its id."""

Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(gateway: Gateway, handler: Handler) -> Endpoint:
    """The handler as starlette calls it; whatever happens, its client is told in OpenAI's words."""

    async def endpoint(request: Request) -> Response:
        named = request_id(request.headers)
        began = time.perf_counter()
        try:
            response = await handler(gateway, request, gateway.tenant(request), named)
        except (ApiError, LorayardError) as error:
            response = error_reply(error)
        except nats.errors.Error as error:
            reason = str(error) or type(error).__name__
            response = error_reply(BusUnavailableError(url=gateway.settings.url, reason=reason))
        except (ClientGoneError, ClientDisconnect):
            response = Response(status_code=GONE)
        except Exception:  # the top of a request: one fault must not end the next
            gateway.log.exception(Event.LOOP_FAILED, task=request.scope["path"], request_id=named)
            response = error_reply(unexpected(named))
        milliseconds = (time.perf_counter() - began) * 1000
        response.raw_headers += (
            (_ID_HEADER, named.encode()),
            (b"openai-processing-ms", b"%d" % round(milliseconds)),
        )
        if gateway.meter is not None:
            gateway.meter.answered(request.scope["path"], response.status_code, milliseconds / 1000)
        gateway.log.debug(
            Event.REQUEST_ANSWERED,
            request_id=named,
            path=request.scope["path"],
            status=response.status_code,
            milliseconds=round(milliseconds, 1),
        )
        return response

    return endpoint
