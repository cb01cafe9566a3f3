"""A body's jobs: all submitted or none, waited for together, and cancelled when nobody waits any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.types import Receive

from lorayard import Client, JobHandle, LorayardError, NotSentError, Result
from lorayard.openai_shapes import Asked
from lorayard_gateway.errors import stopping, too_slow
from lorayard_gateway.gateway import Gateway
from lorayard_shared.process import end_tasks


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


async def submit(client: Client, asked: Asked) -> list[JobHandle]:
    """One job for each choice, all of them or none.

    Raises:
        LorayardError: of the first that was not taken.
    """
    report = await client.submit_many(asked.requests, atomic=len(asked.requests) > 1)
    errors = [error for _, error in report.errors]
    for error in errors:
        if not isinstance(error, NotSentError):
            raise error
    return report.all_handles()


class Work:
    """Jobs of one request."""

    def __init__(
        self, gateway: Gateway, client: Client, handles: Sequence[JobHandle], *, goes_on: bool
    ) -> None:
        self._gateway = gateway
        self._client = client
        self.handles = handles
        self._goes_on = goes_on

    async def results(self, receive: Receive) -> list[Result]:
        """All answers, in order.

        Raises:
            LorayardError: one of them has none; the others are cancelled.
            ApiError: not in time, or the gateway stops.
            ClientGoneError: the client went away.
        """
        waiting = asyncio.ensure_future(_all(self.handles))
        gone = asyncio.ensure_future(disconnected(receive))
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def leave() -> None:
            if not left.done():
                left.set_result(None)

        self._gateway.on_leave(leave)
        seconds = self._gateway.settings.gateway_answer_seconds
        try:
            first: set[asyncio.Future[Any]] = {waiting, gone, left}
            await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return self._answered(waiting)
            if left.done():
                raise stopping()
            if gone.done():
                self.abandon()
                raise ClientGoneError
            self.cancel()
            raise too_slow(seconds)
        finally:
            self._gateway.no_leave(leave)
            pending = [task for task in (waiting, gone) if not task.done()]
            for task in pending:
                task.cancel()
            if not waiting.done():
                await end_tasks([waiting])

    def _answered(self, waiting: asyncio.Future[list[Result]]) -> list[Result]:
        try:
            return waiting.result()
        except LorayardError:
            if len(self.handles) > 1:
                self.cancel()
            raise

    def abandon(self) -> None:
        """The client has gone: cancel what nobody asks for again."""
        if not self._goes_on:
            self.cancel()

    def cancel(self) -> None:
        """End the jobs, behind the client's back: it does not wait for that."""
        self._gateway.tasks.spawn(self._cancel(), "cancel")

    async def _cancel(self) -> None:
        with suppress(LorayardError):  # the bus is away and nobody can be told
            await self._client.cancel_many(handle.id for handle in self.handles)


async def _all(handles: Sequence[JobHandle]) -> list[Result]:
    if len(handles) == 1:
        return [await handles[0].result()]
    return list(await asyncio.gather(*(handle.result() for handle in handles)))


async def disconnected(receive: Receive) -> None:
    """Until the client has gone; its body was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass
