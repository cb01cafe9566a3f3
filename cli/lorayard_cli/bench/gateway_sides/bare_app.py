"""The yardstick: a starlette application that reads a body as JSON and writes an answer as JSON, and no more.

python -m lorayard_cli.bench.gateway_sides.bare_app PORT ANSWER.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PATH = "/v1/chat/completions"


def make_app(answer: object) -> Starlette:
    """With one route."""

    async def respond(request: Request) -> JSONResponse:
        await request.json()
        return JSONResponse(answer)

    return Starlette(routes=[Route(PATH, respond, methods=["POST"])])


def main(port: str, answer: str) -> None:
    """Serve it as the gateway is served: the same server, protocol and loop."""
    app = make_app(json.loads(Path(answer).read_text(encoding="utf-8")))
    uvicorn.run(
        app,
        port=int(port),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
