"""A request's body: all of it, soon enough, not too much of it, and JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.requests import Request

from lorayard_gateway.errors import bad_json, body_too_large, body_too_slow, not_json
from lorayard_gateway.settings import GatewaySettings

LINGER_SECONDS = 1.0


async def read_json(request: Request, settings: GatewaySettings) -> object:
    """The body as JSON has it.

    Raises:
        ApiError: it is too large, too slow, of another kind, or no JSON.
        starlette.requests.ClientDisconnect: there is nobody any more.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise not_json()
    body = await _read(request, settings)
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise bad_json("it is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them
        raise bad_json(str(error)) from error


async def _read(request: Request, settings: GatewaySettings) -> bytes:
    limit = settings.gateway_max_body_bytes
    coming = request.stream()
    told = request.headers.get("content-length", "")
    fits = not (told.isascii() and told.isdigit()) or (len(told) <= 15 and int(told) <= limit)
    parts, size = list[bytes](), 0
    try:
        async with asyncio.timeout(settings.gateway_body_seconds):
            while fits and (part := await anext(coming, None)) is not None:
                size += len(part)
                fits = size <= limit
                parts.append(part)
    except TimeoutError:
        raise body_too_slow(settings.gateway_body_seconds) from None
    if not fits:
        await _linger(coming)
        raise body_too_large(limit)
    return b"".join(parts)


async def _linger(coming: AsyncGenerator[bytes]) -> None:
    """Read on for a moment: a connection that is closed over unread bytes takes the answer down with it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            async for _ in coming:
                pass


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
"""`json.loads` makes one for each body, which takes longer than a short body."""
