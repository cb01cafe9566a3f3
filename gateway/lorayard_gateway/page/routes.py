"""The page's routes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.acting import act
from lorayard_gateway.page.adapter import show_adapter, show_past
from lorayard_gateway.page.errors import tenant_refused
from lorayard_gateway.page.events import Events
from lorayard_gateway.page.guard import Handler, enclosed, told
from lorayard_gateway.page.job import show_job, show_texts
from lorayard_gateway.page.letters import Letters
from lorayard_gateway.page.listing import list_jobs
from lorayard_gateway.page.login import log_in, log_out, tell_viewer
from lorayard_gateway.page.static_files import StaticFiles
from lorayard_gateway.page.turns import Turns

INDEX = "/ui/"


def page_routes(gateway: Gateway) -> list[Route]:
    """All of them; the files are for anybody, as there is nothing in them."""
    files = enclosed(gateway, StaticFiles().answer)

    async def logging_in(request: Request) -> Response:
        return await log_in(gateway, request)

    async def logging_out(request: Request) -> Response:
        return await log_out(gateway, request)

    async def index(request: Request) -> Response:
        if request.url.path == "/" and "text/html" not in request.headers.get("accept", ""):
            raise tenant_refused()
        return RedirectResponse(INDEX, status_code=307)

    turn = Turns().taken
    read: dict[str, Handler] = {
        "viewer": tell_viewer,
        "events": Events(gateway.feed).answer,
        "jobs": turn(list_jobs),
        "job": turn(show_job),
        "texts": turn(show_texts),
        "adapter": turn(show_adapter),
        "past": show_past,
        "dead": turn(Letters().answer),
    }
    return [
        *(Route(f"/ui/api/{name}", told(gateway, one), methods=["GET"]) for name, one in read.items()),
        Route("/ui/api/act", told(gateway, act), methods=["POST"]),
        Route("/ui/api/login", enclosed(gateway, logging_in), methods=["POST"]),
        Route("/ui/api/logout", enclosed(gateway, logging_out), methods=["POST"]),
        Route("/", enclosed(gateway, index), methods=["GET"]),
        Route("/ui", enclosed(gateway, index), methods=["GET"]),
        Route(INDEX, files, methods=["GET"]),
        Route("/ui/{file:path}", files, methods=["GET"]),
    ]
