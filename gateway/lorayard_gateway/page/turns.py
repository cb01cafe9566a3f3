"""Turns of one tenant's keys: what the page asks the yard for them waits in one line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.errors import too_many_reads
from lorayard_gateway.page.guard import Handler
from lorayard_gateway.page.viewer import Viewer

AT_ONCE = 4
"""Reads of one tenant: each may look through 20,000 messages, on the loop that serves all."""

WAITING = 32
"""Reads behind them: more than the pages that it may have open ask for."""


def _free() -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)


@dataclass(slots=True)
class _Line:
    asked: int = 0
    """Those that run, and those that wait."""
    free: asyncio.Semaphore = field(default_factory=_free)


class Turns:
    """Of all tenants that ask now; who sees the whole yard waits for nobody."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def taken(self, handler: Handler) -> Handler:
        """The handler, run when it is its viewer's turn; raises ApiError where too many wait."""

        async def answer(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
            if viewer.scope is None:
                return await handler(gateway, request, viewer)
            async with self._turn(viewer.scope):
                return await handler(gateway, request, viewer)

        return answer

    @asynccontextmanager
    async def _turn(self, tenant: str) -> AsyncGenerator[None]:
        line = self._lines.setdefault(tenant, _Line())
        if line.asked >= AT_ONCE + WAITING:
            raise too_many_reads(tenant)
        line.asked += 1
        try:
            async with line.free:
                yield
        finally:
            line.asked -= 1
            if not line.asked:
                del self._lines[tenant]
