"""A body's jobs: all submitted or none, waited for together, and cancelled when nobody waits any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto

from starlette.types import Receive

from lorayard import Client, JobHandle, LorayardError, NotSentError, Result
from lorayard.openai_shapes import Asked
from lorayard_gateway.errors import stopping, too_slow
from lorayard_gateway.gateway import Gateway
from lorayard_shared.time_limit import TimeLimit


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


class _Cut(Enum):
    """Why nobody waits any more."""

    LATE = auto()
    GONE = auto()
    """The client has closed its connection."""
    LEFT = auto()
    """The gateway stops."""


class _Patience:
    """How long a request waits for its answers."""

    def __init__(self, limit: TimeLimit) -> None:
        self.wait = limit.wait()
        """It ends as by the clock, whatever ends it."""
        self.why = _Cut.LATE

    def leave(self) -> None:
        """The gateway stops."""
        self._cut(_Cut.LEFT)

    async def until_gone(self, receive: Receive) -> None:
        """Wait for the client to go."""
        await disconnected(receive)
        self._cut(_Cut.GONE)

    def _cut(self, why: _Cut) -> None:
        if not self.wait.ended:
            self.why = why
            self.wait.end()


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
        patience = _Patience(self._gateway.answers)
        gone = asyncio.create_task(patience.until_gone(receive), name="work-gone")
        try:
            async with patience.wait:
                self._gateway.on_leave(patience.leave)
                return await _all(self.handles)
        except LorayardError:
            if len(self.handles) > 1:
                self.cancel()
            raise
        except TimeoutError:
            if not patience.wait.ended:
                raise
            raise self._unanswered(patience.why) from None
        finally:
            self._gateway.no_leave(patience.leave)
            gone.cancel()

    def _unanswered(self, why: _Cut) -> Exception:
        match why:
            case _Cut.LEFT:
                return stopping()
            case _Cut.GONE:
                self.abandon()
                return ClientGoneError()
            case _Cut.LATE:
                self.cancel()
                return too_slow(self._gateway.settings.gateway_answer_seconds)

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
