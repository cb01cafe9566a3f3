"""Who looks, and letting somebody in and out."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from lorayard_gateway.errors import wrong_key
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.guard import check_own
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import COOKIE, Viewer
from lorayard_gateway.queries import read_fields

PATH = "/ui"


class _Login(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")


async def tell_viewer(gateway: Gateway, _request: Request, viewer: Viewer) -> Response:
    """Who looks, and what that one may do."""
    told = {
        "name": viewer.name,
        "role": viewer.role,
        "tenant": viewer.tenant,
        "scope": viewer.scope,
        "may_act": viewer.may_act,
        "may_read_texts": viewer.may_read_texts,
        "keys": gateway.settings.gateway_keys,
    }
    return page_reply(told)


async def log_in(gateway: Gateway, request: Request) -> Response:
    """Keep a key that holds in a cookie that no script can read, and no other site sends.

    Raises:
        ApiError: it opens nothing.
    """
    check_own(request)
    key = read_fields(_Login, await gateway.bodies.json(request)).key
    if gateway.settings.gateway_keys and gateway.keys.find(key, time.time()) is None:
        raise wrong_key()
    reply = page_reply({})
    # Of several proxies each adds its own; the first is what the browser asked.
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).partition(",")[0].strip()
    reply.set_cookie(COOKIE, key, path=PATH, httponly=True, samesite="strict", secure=scheme == "https")
    return reply


async def log_out(_gateway: Gateway, request: Request) -> Response:
    """Forget it."""
    check_own(request)
    reply = page_reply({})
    reply.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")
    return reply
