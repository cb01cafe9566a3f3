"""Answers tenants in accounts of their own: the same orders and reads as others', for what is theirs alone.

The server brings a question here under `{prefix}.own.{tenant}.>`, which says for sure whose it is; what its
body says must agree.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import nats.errors
from nats.micro.request import Request

from lorayard_dispatcher.own_reading import NotOwnError, own_patterns, read_question
from lorayard_schemas.assignment import CancelJob
from lorayard_schemas.cancel_many import CancelMany
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.explanation import ExplainJob
from lorayard_schemas.limit import AskLimits
from lorayard_schemas.names import subject_token
from lorayard_shared.bus.connection import NOT_ENABLED, ApiError, Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.losses import answered

READ_SECONDS: Final = 2.0
"""For the server; whoever asks waits about as long."""

AT_ONCE: Final = 16
"""Reads under way: each holds a page in memory."""

_BAD: Final = b"NATS/1.0 408 Bad Request\r\n\r\n"
_AWAY: Final = b"NATS/1.0 500 No Answer\r\n\r\n"
"""In the server's own form: a status is no header."""
_TOLD: Final = ("messages", "bytes", "first_seq", "last_seq")
"""Of a stream's state: how full it is, and nothing of whose."""

_NOT_TOLD: Final = {
    "code": 403,
    "err_code": NOT_ENABLED,
    "description": "a tenant is not told whose jobs lie there",
}

Handler = Callable[[Request], Awaitable[None]]
TenantWish = type[CancelJob] | type[CancelMany] | type[ExplainJob] | type[AskLimits]


def owner(request: Request) -> str:
    """The token of the tenant whose account asks: the server wrote it."""
    return request.subject.split(".")[2]


def own_only(kind: TenantWish, handler: Handler) -> Handler:
    """The same handler, for questions about the asking tenant's own."""

    async def look(request: Request) -> None:
        try:
            named = decode(kind, request.data).tenant if request.data else None
        except MalformedMessageError as error:
            await request.respond_error(code="400", description=str(error))
            return
        if named is None or subject_token(named) != owner(request):
            await request.respond_error(code="403", description="only of your own tenant")
            return
        await handler(request)

    return look


class OwnReads:
    """Reads streams for tenants."""

    def __init__(self, bus: Bus, spawn: Callable[..., object]) -> None:
        self._bus = bus
        self._spawn = spawn
        self._room = asyncio.Semaphore(AT_ONCE)

    async def get(self, request: Request) -> None:
        """Messages by their subjects, as the server itself would give them out."""
        self._spawn(self._get(request), "own-get")

    async def _get(self, request: Request) -> None:
        kind = request.subject.split(".")[4]
        patterns = own_patterns(self._bus.subjects.prefix, kind, owner(request))
        try:
            question = read_question(request.data, patterns)
        except NotOwnError:
            self._say(request, _BAD)
            return
        async with self._room:
            with suppress(nats.errors.Error):
                await self._relay(self._bus.subjects.stream(kind), json.dumps(question).encode(), request)

    def _say(self, request: Request, status: bytes) -> None:
        if reply := request._msg.reply:  # pyright: ignore[reportPrivateUsage]  # nats-py answers with headers only
            self._bus.nc.post(reply, b"", head=status)

    async def _relay(self, stream: str, body: bytes, request: Request) -> None:
        """What the server says to the question, message by message."""
        found: list[Heard] = []
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alone = not any(word in body for word in (b'"batch"', b'"multi_last"'))

        def take(message: Heard) -> None:
            found.append(message)
            if not end.done() and (alone or b"\r\nNats-Stream:" not in (message.raw_headers or b"")):
                end.set_result(None)

        inbox, losses = self._bus.nc.new_inbox(), self._bus.disconnects
        hearing = await self._bus.nc.hear(inbox, take)
        try:
            await self._bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", body, reply=inbox)
            await answered(self._bus, end, losses, seconds=READ_SECONDS)
        except (nats.errors.Error, TimeoutError):
            self._say(request, _AWAY)
            return
        finally:
            with suppress(nats.errors.Error):
                await hearing.unsubscribe()
        # As they came: the line with the status is no header, and clients look for it.
        reply = request._msg.reply  # pyright: ignore[reportPrivateUsage]  # nats-py answers with headers only
        if reply:
            self._bus.nc.post_all((reply, "", message.raw_headers or b"", message.data) for message in found)

    async def info(self, request: Request) -> None:
        """Whether a stream is there, how full it is, and the server's clock."""
        self._spawn(self._info(request), "own-info")

    async def _info(self, request: Request) -> None:
        stream = self._bus.subjects.stream(request.subject.split(".")[4])
        if request.data:  # it asks for subjects, or for what was deleted: of whomever
            await request.respond(json.dumps({"error": _NOT_TOLD}).encode())
            return
        try:
            told = await self._bus.api(f"STREAM.INFO.{stream}")
        except ApiError as error:
            refused = {"error": {"code": 404, "err_code": error.code, "description": error.description}}
            await request.respond(json.dumps(refused).encode())
            return
        except nats.errors.Error:
            return  # it is asked again
        state = {key: told["state"].get(key, 0) for key in _TOLD}
        answer = {
            "config": {"name": stream},
            "state": state,
            "ts": told.get("ts"),
            "created": told.get("created"),
        }
        await request.respond(json.dumps(answer).encode())
