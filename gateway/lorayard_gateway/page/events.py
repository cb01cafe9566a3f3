"""`/ui/api/events`: what changes in the yard, as server-sent events, each second at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lorayard_gateway.errors import ApiError
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.channel import Channel
from lorayard_gateway.page.errors import too_many_viewers
from lorayard_gateway.page.feed import Feed
from lorayard_gateway.page.viewer import Viewer, viewer_of

MOST_VIEWERS = 100
"""Open pages of one gateway: each holds a connection, of which there are 800."""

MOST_OF_TENANT = 20
"""Of those, of one tenant's keys: operators and others shall find room."""

PING_SECONDS = 10.0
"""Between comments where nothing changes; browsers and proxies see by them that the line stands."""

CHECK_SECONDS = 1.0
"""Between two looks whether its viewer may still see, and whether the gateway stops."""

RETRY = b"retry: 2000\n\n"
"""Milliseconds until a browser comes back."""


class Events:
    """Streams of one gateway's feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def answer(self, gateway: Gateway, request: Request, viewer: Viewer) -> Response:
        """One stream; with `Last-Event-ID` it goes on where that one ended.

        Raises:
            ApiError: too many are open.
        """
        if self._feed.viewers >= MOST_VIEWERS:
            raise too_many_viewers(MOST_VIEWERS)
        if viewer.scope is not None and self._feed.viewers_of(viewer.scope) >= MOST_OF_TENANT:
            raise too_many_viewers(MOST_OF_TENANT, f" of tenant {viewer.scope}")
        last_id = request.headers.get("last-event-id", "")
        body = self._told(gateway, request, viewer, last_id)
        return StreamingResponse(body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _told(
        self, gateway: Gateway, request: Request, viewer: Viewer, last_id: str
    ) -> AsyncGenerator[bytes]:
        with self._feed.watched(viewer.scope) as channel:
            yield RETRY
            place, silent = channel.place(last_id), 0.0
            while not gateway.stopping:
                place, events = channel.since(place)
                for event in events:
                    yield event
                silent = await _more(channel, place, silent)
                if silent >= PING_SECONDS:
                    silent = 0.0
                    yield b": still here\n\n"
                if not _may_see(gateway, request, viewer):
                    yield b"event: bye\ndata: {}\n\n"
                    return


async def _more(channel: Channel, place: int, silent: float) -> float:
    """Wait for more, though not for long; returns how long nothing was told."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await channel.wait(place)
    except TimeoutError:
        return silent + CHECK_SECONDS
    return 0.0


def _may_see(gateway: Gateway, request: Request, viewer: Viewer) -> bool:
    """Whether its key still opens the same."""
    try:
        return viewer_of(gateway, request).scope == viewer.scope
    except ApiError:
        return False
