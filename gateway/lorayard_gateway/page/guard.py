"""What surrounds every request of the page: who asks, whether its own scripts did, and headers that keep
everything else out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import nats.errors
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from lorayard.errors import BusUnavailableError, LorayardError
from lorayard_gateway.errors import ApiError, unexpected
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.errors import bus_refuses, foreign_request
from lorayard_gateway.page.viewer import Viewer, viewer_of
from lorayard_gateway.replies import error_reply
from lorayard_gateway.requests import GONE, Endpoint
from lorayard_gateway.wishes import request_id
from lorayard_shared.bus.connection import ApiError as BusRefusal
from lorayard_shared.logs import Event

MARK: Final = "x-lorayard-page"
"""A header that forms and images of other pages cannot send, and scripts of theirs only if they are let."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of everything under `/ui/`: its own files and no others, in no frame, and no text becomes a script."""

Handler = Callable[[Gateway, Request, Viewer], Awaitable[Response]]


def told(gateway: Gateway, handler: Handler) -> Endpoint:
    """The handler as starlette calls it, for whoever may see the page."""

    async def ask(request: Request) -> Response:
        check_own(request)
        return await handler(gateway, request, viewer_of(gateway, request))

    return enclosed(gateway, ask)


def enclosed(gateway: Gateway, endpoint: Endpoint) -> Endpoint:
    """The endpoint with the page's headers; whatever happens, its client is told."""

    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except (ApiError, LorayardError) as error:
            response = error_reply(error)
        except nats.errors.Error as error:
            reason = str(error) or type(error).__name__
            response = error_reply(BusUnavailableError(url=gateway.settings.url, reason=reason))
        except BusRefusal as error:
            response = error_reply(bus_refuses(error))
        except ClientDisconnect:
            response = Response(status_code=GONE)
        except Exception:  # the top of a request: one fault must not end the next
            named = request_id(request.headers)
            gateway.log.exception(Event.LOOP_FAILED, task=request.scope["path"], request_id=named)
            response = error_reply(unexpected(named))
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return answer


def check_own(request: Request) -> None:
    """Whether no other page has sent it; what is no browser passes.

    Browsers say by themselves where a request comes from: `Sec-Fetch-Site` over TLS and on loopback, `Origin`
    with everything that changes something. No page can make them lie.

    Raises:
        ApiError: another one has, or it changes something and lacks the mark.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise foreign_request()
    if site is None and origin is not None and not is_own_origin(request):
        raise foreign_request()
    if request.method not in ("GET", "HEAD") and MARK not in request.headers:
        raise foreign_request()


def is_own_origin(request: Request) -> bool:
    """Whether `Origin` names the host that was asked."""
    _, _, host = request.headers.get("origin", "").partition("://")
    return bool(host) and host == request.headers.get("host")
