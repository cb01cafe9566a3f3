"""The way to what is asked most: past starlette's router and its layers, a twentieth of a request's time.

They turn faults into answers, which `guarded` has done before they could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lorayard_gateway.requests import Endpoint


class NamedHeaders(Headers):
    """Found by their names; starlette looks through all of them for each name, and most are not there."""

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=list(raw))
        self._by_name = dict(reversed(raw))  # of those that come again the first counts, as in starlette

    def __getitem__(self, key: str) -> str:
        return self._by_name[key.lower().encode("latin-1")].decode("latin-1")

    def get(self, key: str, default: Any = None, /) -> Any:
        """One of them, or the default."""
        value = self._by_name.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class StraightRequest(Request):
    """A request whose headers are asked for by name, ten of them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._headers = NamedHeaders(scope["headers"])


def straight(app: ASGIApp, posted: Mapping[str, Endpoint]) -> ASGIApp:
    """The application; a POST to one of these paths goes to its endpoint at once."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = posted.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            await app(scope, receive, send)
            return
        response = await endpoint(StraightRequest(scope, receive, send))
        await response(scope, receive, send)

    return front
