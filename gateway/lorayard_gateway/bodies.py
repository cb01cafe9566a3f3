"""A request's body: all of it, soon enough, not too much of it, and JSON."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from lorayard_gateway.errors import bad_json, body_too_large, body_too_slow, not_json, too_many_values
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.time_limit import TimeLimit

LINGER_SECONDS = 1.0

LARGE_BYTES = 64 * 1024
"""More than that is read in a thread, once it is known that this does not take long: what reads JSON does not
let go of the interpreter, so that others' requests would wait for it, thread or not."""

MOST_VALUES = 32 * 1024
"""Of a large body, some 10 ms of reading: 4 MiB may hold a million. A chat with as many messages as may be,
each in parts, has 13,000."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BETWEEN = (b",", b"[", b"{")


class Bodies:
    """Reads those of one gateway's requests."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._seconds = settings.gateway_body_seconds
        self._most_bytes = settings.gateway_max_body_bytes
        self._limit = TimeLimit(self._seconds)

    async def json(self, request: Request) -> object:
        """The body as JSON has it.

        Raises:
            ApiError: it is too large, too slow, of another kind, or no JSON.
            starlette.requests.ClientDisconnect: there is nobody any more.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise not_json()
        body = await self._read(request)
        try:
            return _decode(body) if len(body) <= LARGE_BYTES else await asyncio.to_thread(_decode_large, body)
        except RecursionError:
            raise bad_json("it is nested too deeply") from None
        except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them
            raise bad_json(str(error)) from error

    async def _read(self, request: Request) -> bytes:
        limit = self._most_bytes
        told = request.headers.get("content-length", "")
        fits = not (told.isascii() and told.isdigit()) or (len(told) <= 15 and int(told) <= limit)
        parts, size, more = list[bytes](), 0, True
        try:
            async with self._limit.wait():
                while fits and more:
                    part, more = await _part(request.receive)
                    size += len(part)
                    fits = size <= limit
                    parts.append(part)
        except TimeoutError:
            raise body_too_slow(self._seconds) from None
        if not fits:
            await _linger(request.receive, more=more)
            raise body_too_large(limit)
        return b"".join(parts)


def _decode(body: bytes) -> object:
    return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))


def _decode_large(body: bytes) -> object:
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):  # half of a character would look like a quote, and hide what follows
        body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    if has_many_values(body):
        raise too_many_values(MOST_VALUES)
    return _decode(body)


def has_many_values(body: bytes) -> bool:
    """Whether there are more than `MOST_VALUES` in UTF-8: found out at a fifth of the cost of reading them.

    String by string, so that the interpreter may go on with others' requests.
    """
    seen = at = 0
    for string in _STRING.finditer(body):
        seen += sum(body.count(mark, at, string.start()) for mark in _BETWEEN)
        if seen > MOST_VALUES:
            return True
        at = string.end()
    return seen + sum(body.count(mark, at) for mark in _BETWEEN) > MOST_VALUES


async def _part(receive: Receive) -> tuple[bytes, bool]:
    """More of it, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


async def _linger(receive: Receive, *, more: bool) -> None:
    """Read on for a moment: a connection that is closed over unread bytes takes the answer down with it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while more:
                _, more = await _part(receive)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
"""`json.loads` makes one for each body, which takes longer than a short body."""
