"""One streamed answer: what its jobs tell, as server-sent events that end with `[DONE]`.

Each choice is followed by a task of its own; a short queue between them and the client keeps a slow reader
from filling memory. A fault after the first byte is told as an event, for the status is out by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive

from lorayard import EventKind, JobHandle, LorayardError, Result
from lorayard.result import raise_unless_succeeded
from lorayard_gateway.chunks import Chunks
from lorayard_gateway.errors import ApiError, stopping, too_slow
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.place import Given, Place
from lorayard_gateway.replies import json_bytes, json_text, shape_of
from lorayard_gateway.work import ClientGoneError, Work, disconnected
from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks

QUEUED = 32
"""Events between a job and its reader: a second and a half of writing."""

FIRST_SECONDS = 2.0
"""A stream's status is held back until its job has begun, or was refused: 404 and 429 are more use as a
status than as an event. A job that waits for longer gets its 200, and comments until it begins."""

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """Of one choice. Without text and result: it has begun."""

    index: int
    text: str = ""
    place: Place | None = None
    result: Result | None = None
    error: LorayardError | ApiError | None = None


class Stream:
    """One answer on its way; `place` where its reader comes back."""

    def __init__(self, gateway: Gateway, work: Work, chunks: Chunks, place: Place | None = None) -> None:
        self._gateway = gateway
        self._work = work
        self._chunks = chunks
        self._resumed = place
        self._queue = asyncio.Queue[_News](QUEUED)
        self._first: _News | None = None
        self._over = False
        self._pumps = [
            asyncio.create_task(self._pump(index, handle, Given(place)), name=f"stream-{handle.id}")
            for index, handle in enumerate(work.handles)
        ]
        gateway.on_leave(self._leave)

    async def first(self, receive: Receive) -> None:
        """Wait until it is known that there will be something to stream, though not for long.

        Raises:
            LorayardError: there will be nothing, and why.
            ClientGoneError: the client went away.
        """
        begun = asyncio.create_task(self._queue.get(), name="stream-first")
        gone = asyncio.create_task(disconnected(receive), name="stream-gone")
        try:
            await asyncio.wait({begun, gone}, timeout=FIRST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                self._first = begun.result()
            if gone.done():
                raise ClientGoneError
            if self._first is not None and self._first.error is not None:
                raise self._first.error
        except BaseException:
            await self.close()
            raise
        finally:
            await end_tasks([begun, gone])

    async def close(self) -> None:
        """Nobody reads any more: let go of the jobs, and of what follows them."""
        self._gateway.no_leave(self._leave)
        if not self._over:
            self._over = True
            self._work.abandon()
        await end_tasks(self._pumps)

    async def events(self) -> AsyncGenerator[bytes]:
        """What goes to the client; closed by whoever reads it."""
        try:
            async for event in self._told():
                yield event
            self._over = True
        except (LorayardError, ApiError) as error:
            if len(self._pumps) > 1 and not self._over:
                self._work.cancel()  # the other choices are of no use
            self._over = True
            yield _event(json_text(shape_of(error).body()))
        except Exception:  # the top of a stream: its client has to hear that it is over
            self._gateway.log.exception(Event.LOOP_FAILED, task="stream")
            fault = ApiError(
                500, "internal_error", "The gateway failed on this stream.", type_="server_error"
            )
            yield _event(json_text(fault.shape.body()))
        finally:
            # Closed by a cancelled task, that could wait for nothing.
            self._gateway.tasks.spawn(self.close(), "stream-close")

    async def _told(self) -> AsyncGenerator[bytes]:
        count = len(self._pumps)
        if self._resumed is None:
            for index in range(count):
                if (begun := self._chunks.begin(index)) is not None:
                    yield _event(begun)
        results: dict[int, Result] = {}
        while len(results) < count:
            news = await self._next()
            if news.error is not None:
                raise news.error
            place = news.place if count == 1 else None
            if news.result is None:
                yield _event(self._chunks.text(news.index, news.text), place)
            else:
                results[news.index] = news.result
                answers = [results[index] for index in range(count)] if len(results) == count else None
                yield _event(self._chunks.end(news.index, news.result, answers), place)
        if (usage := self._chunks.usage([results[index] for index in range(count)])) is not None:
            yield _event(usage)
        yield DONE

    async def _next(self) -> _News:
        while True:
            if self._first is not None:
                news, self._first = self._first, None
            else:
                news = await self._queue.get()
            if news.text or news.result is not None or news.error is not None:
                return news

    async def _pump(self, index: int, handle: JobHandle, given: Given) -> None:
        limit = self._gateway.settings.gateway_answer_seconds
        try:
            async with asyncio.timeout(limit):
                await self._follow(index, handle, given)
        except TimeoutError:
            self._work.cancel()
            await self._queue.put(_News(index=index, error=too_slow(limit)))
        except LorayardError as error:
            await self._queue.put(_News(index=index, error=error))

    async def _follow(self, index: int, handle: JobHandle, given: Given) -> None:
        place = given.place(handle.id, 0)
        async with aclosing(handle.events()) as events:
            async for event in events:
                place = given.place(handle.id, event.sequence)
                if event.kind is EventKind.RESTARTED:
                    given.begin_again()
                elif event.kind is EventKind.TOKENS:
                    if piece := given.piece(handle.id, event.text):
                        place = given.place(handle.id, event.sequence)
                        await self._queue.put(_News(index=index, text=piece, place=place))
                elif event.kind is EventKind.STARTED:
                    await self._queue.put(_News(index=index))
        result = raise_unless_succeeded(await handle.outcome())
        given.check_end(handle.id)
        await self._queue.put(_News(index=index, result=result, place=place))

    def _leave(self) -> None:
        self._over = True  # the jobs go on: another gateway tells the rest
        for pump in self._pumps:
            pump.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()  # not told, and so not in the reader's place either
        self._queue.put_nowait(_News(index=0, error=stopping()))


def _event(data: str, place: Place | None = None) -> bytes:
    named = f"id: {place}\n" if place is not None else ""
    return json_bytes(f"{named}data: {data}\n\n")
