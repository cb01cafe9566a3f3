"""The gateway's routes as one starlette application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from lorayard.openai_shapes import Endpoint
from lorayard_gateway import completions, embeddings
from lorayard_gateway.batches import routes as batches
from lorayard_gateway.errors import ApiError, model_unknown
from lorayard_gateway.files import routes as files
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.models import ModelList
from lorayard_gateway.openapi import openapi_text
from lorayard_gateway.page.routes import page_routes
from lorayard_gateway.readiness import missing
from lorayard_gateway.replies import JSON, error_reply, json_reply
from lorayard_gateway.requests import Handler, guarded
from lorayard_gateway.settings import PageMode
from lorayard_gateway.straight import straight


def make_app(gateway: Gateway) -> ASGIApp:
    """Routes over one gateway."""
    document = openapi_text()

    async def healthz(_request: Request) -> Response:
        return json_reply({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        told = await missing(gateway)
        return json_reply(
            {"status": "unready" if told else "ok", "missing": list(told)}, status=503 if told else 200
        )

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type=JSON)

    complete = guarded(gateway, completions.answer)
    routes = [
        *(Route(path, complete, methods=["POST"]) for path in Endpoint),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
        Route("/v1/models", guarded(gateway, list_models), methods=["GET"]),
        Route("/v1/models/{model:path}", guarded(gateway, show_model), methods=["GET"]),
        _route(gateway, "/v1/files", GET=files.list_files, POST=files.upload),
        _route(gateway, "/v1/files/{file_id}", GET=files.show, DELETE=files.delete),
        _route(gateway, "/v1/files/{file_id}/content", GET=files.content),
        _route(gateway, "/v1/batches", GET=batches.list_batches, POST=batches.create),
        _route(gateway, "/v1/batches/{batch_id}", GET=batches.show),
        _route(gateway, "/v1/batches/{batch_id}/cancel", POST=batches.cancel),
        Route("/v1/embeddings", guarded(gateway, embeddings.answer), methods=["POST"]),
    ]
    if gateway.settings.gateway_page is not PageMode.OFF:
        routes += page_routes(gateway)
    app = Starlette(
        routes=routes,
        middleware=_cors(gateway),
        exception_handlers={HTTPException: _http_error},  # type: ignore[dict-item]  # starlette types it so
    )
    return app if gateway.settings.origins else straight(app, dict.fromkeys(Endpoint, complete))


async def list_models(gateway: Gateway, _request: Request, tenant: str, _id: str) -> Response:
    """What a tenant's requests may name."""
    told = ModelList(data=gateway.catalogue.all(tenant))
    return Response(told.model_dump_json(), media_type=JSON)


async def show_model(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """One of them.

    Raises:
        ApiError: there is none, or not for this tenant.
    """
    model: str = request.path_params["model"]
    card = gateway.catalogue.find(model, tenant)
    if card is None:
        raise model_unknown(model)
    return Response(card.model_dump_json(), media_type=JSON)


def _route(gateway: Gateway, path: str, **handlers: Handler) -> Route:
    """One route for all methods of a path: its `Allow` has to name each."""
    endpoints = {method: guarded(gateway, handler) for method, handler in handlers.items()}

    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, endpoint, methods=list(endpoints))


def _cors(gateway: Gateway) -> list[Middleware]:
    origins = gateway.settings.origins
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
    ]


async def _http_error(request: Request, error: HTTPException) -> Response:
    """What starlette's router says: no such path, or no such method on it."""
    path: str = request.scope["path"]  # `request.url` is made of the header Host too, which may be anything
    if error.status_code == 405:
        message = f"{request.method} is not allowed on {path}."
        headers = dict(error.headers or {})
        return error_reply(ApiError(405, "method_not_allowed", message, headers=headers))
    message = f"Unknown request URL: {request.method} {path}."
    return error_reply(ApiError(error.status_code, "unknown_url", message))
