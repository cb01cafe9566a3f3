"""Follow a job to its end: hear what is announced, read from the stream what went by, end with the result.

Whatever is lost on the way, the stream has it by sequence; what the stream has lost, the result has. A reader
that is slow is not sent more than it can keep: it reads on from the stream when it comes round to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import nats.errors

from lorayard.errors import ClientClosedError, InvalidRequestError, JobTimeoutError, LorayardError
from lorayard.result import Result
from lorayard.streaming.assembly import Assembly
from lorayard.streaming.events import JobEvent
from lorayard.streaming.live_feed import LiveFeed
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.token_event import TokenEvent
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.scanning import read_page

if TYPE_CHECKING:
    from lorayard.handle import JobHandle
    from lorayard.link import Link

FIRST_LOOK_SECONDS = 1.0
LAST_LOOK_SECONDS = 30.0
"""Between two looks at the stream where nothing is heard: announcements are seldom lost."""

DEAF_LOOK_SECONDS = 0.25
"""Where a look found what was not announced, as on a bus from before there were announcements."""

RETRY_SECONDS = 0.5


def checked_after(after: int) -> int:
    """The sequence to go on behind.

    Raises:
        InvalidRequestError: it cannot be one.
    """
    if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after < 2**63:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        reason = "the `sequence` of an event is needed, or 0 for the beginning"
        raise InvalidRequestError(field="after", reason=reason)
    return after


class Follower:
    """One reading of one job's events."""

    def __init__(self, link: Link, handle: JobHandle, *, after: int) -> None:
        self._bus = link.bus
        self._handle = handle
        self._after = after
        subjects = link.bus.subjects
        self._stream = subjects.stream("tokens")
        self._subject = subjects.token_events(link.tenant, handle.id)
        self._announced = subjects.told(link.tenant, handle.id)
        self._assembly = Assembly()
        self._known = after == 0  # whether what the user has heard is what was told up to `after`
        self._resumed = False
        self._checked = 0  # events up to here were asked for, though they may be gone
        self._silent = self._deaf = False
        self._look_seconds = FIRST_LOOK_SECONDS

    async def follow(self, timeout_seconds: float | None) -> AsyncGenerator[JobEvent]:
        """Events until the job has ended; raises as `JobHandle.events` does."""
        until = None if timeout_seconds is None else asyncio.get_running_loop().time() + timeout_seconds
        try:
            feed = await LiveFeed.open(self._bus, self._announced)
        except nats.errors.ConnectionClosedError as error:
            raise ClientClosedError from error
        outcome = asyncio.create_task(self._handle.outcome(), name=f"lorayard-follow-{self._handle.id}")
        outcome.add_done_callback(lambda _: feed.wake())
        try:
            while not outcome.done():
                for event in await self._news(feed):
                    yield event
                if not outcome.done():
                    await self._wait(feed, until, timeout_seconds)
            for event in await self._last(outcome.result()):
                yield event
        finally:
            await feed.close()
            outcome.cancel()
            await asyncio.wait({outcome})
            if not outcome.cancelled():
                outcome.exception()  # it was raised already, or nobody listens any more

    async def _news(self, feed: LiveFeed) -> list[JobEvent]:
        """What came since the last call, a page of the stream at most."""
        found: list[JobEvent] = []
        if feed.lost():
            try:
                if not self._bus.connected:  # the question would be lost, and its answer waited for
                    raise nats.errors.ConnectionReconnectingError
                page = await self._page()
            except (nats.errors.Error, TimeoutError):
                feed.lose()
                self._look_seconds = RETRY_SECONDS
                return []
            found += self._take_page(page)
            if page:
                self._deaf = self._silent
                feed.lose()  # there may be more
                feed.wake()
                return found
            found += self._resume()
        for place, before, body in feed.read():
            if before > max(self._assembly.position, self._checked):
                self._checked = before
                feed.lose()
                feed.wake()
                break
            self._deaf = False
            found += self._take(place, body)
        return found

    async def _wait(self, feed: LiveFeed, until: float | None, timeout_seconds: float | None) -> None:
        seconds = self._look_seconds
        if until is not None and timeout_seconds is not None:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                raise JobTimeoutError(job_id=self._handle.id, timeout_seconds=timeout_seconds)
            seconds = min(seconds, left)
        if self._assembly.ended:
            # Its result is stored, and word of that may have been lost.
            with suppress(LorayardError, nats.errors.Error, TimeoutError):
                await self._handle.done()
        self._silent = not await feed.wait(seconds)
        if self._silent:
            self._look_seconds = min(2 * self._look_seconds, LAST_LOOK_SECONDS)
            feed.lose()
        else:
            self._look_seconds = DEAF_LOOK_SECONDS if self._deaf else FIRST_LOOK_SECONDS

    async def _last(self, result: Result) -> list[JobEvent]:
        found: list[JobEvent] = []
        if not (self._resumed and result.succeeded and self._assembly.agrees(result)):
            with suppress(nats.errors.Error, TimeoutError):
                while page := await self._page():
                    found += self._take_page(page)
        return [*found, *self._resume(), *self._assembly.close(result)]

    async def _page(self) -> list[Heard]:
        return await read_page(self._bus, self._stream, self._subject, self._assembly.position + 1)

    def _take_page(self, page: Iterable[Heard]) -> list[JobEvent]:
        found: list[JobEvent] = []
        for message in page:
            found += self._take(int((message.headers or {})["Nats-Sequence"]), message.data)
        return found

    def _take(self, sequence: int, body: bytes) -> list[JobEvent]:
        if sequence <= self._assembly.position:
            return []  # it was read from the stream meanwhile
        found = [] if sequence <= self._after else self._resume()
        try:
            told = decode(TokenEvent, body)
        except MalformedMessageError:
            self._assembly.position = sequence  # somebody else's: the result has the truth
            return found
        events = self._assembly.take(sequence, told)
        if sequence <= self._after:
            self._known = sequence == self._after and self._assembly.whole
            return []
        return found + events

    def _resume(self) -> list[JobEvent]:
        """Once all up to `after` is read: what a user has to hear who may have heard something else."""
        if self._resumed:
            return []
        self._resumed = True
        if self._known:
            return []
        self._after = 0
        return self._assembly.again()
