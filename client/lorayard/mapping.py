"""Many prompts through the yard, so many at a time: `async for item in yard.map(prompts)`.

What is submitted and not read yet is bounded, so an endless source is read no faster than its answers are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice

from lorayard.cancel_many import cancel_many
from lorayard.errors import ClientClosedError, InvalidRequestError, LorayardError
from lorayard.handle import JobHandle
from lorayard.link import Link
from lorayard.request import GenerateRequest, Prompt, RequestOptions
from lorayard.result import Result
from lorayard.submitter import submit_all
from lorayard.waiting_for_room import Patience, submit_patiently

CONCURRENCY = 64
"""Rows of several workers, and enough behind them that none runs dry between two answers."""

MOST_CONCURRENCY = 10_000
"""Each is a task and a result in memory."""

ROOM_SECONDS = 60.0
"""A full yard is what a bulk publisher waits for, not an error."""

Source = Iterable[Prompt | GenerateRequest] | AsyncIterable[Prompt | GenerateRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItem:
    """What became of one prompt: exactly one of `result` and `error` is there."""

    place: int
    """In the source, from 0 on."""
    request: GenerateRequest
    job_id: str | None
    """None: the yard did not take it."""
    result: Result | None = None
    error: LorayardError | None = None

    def answer(self) -> Result:
        """The answer.

        Raises:
            LorayardError: there is none, and why.
        """
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """How prompts are mapped."""

    concurrency: int = CONCURRENCY
    ordered: bool = True
    cancel_rest: bool = False
    timeout_seconds: float | None = None
    wait_for_room_seconds: float | None = ROOM_SECONDS

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= MOST_CONCURRENCY:
            raise InvalidRequestError(
                field="concurrency", reason=f"{self.concurrency!r} is not from 1 to {MOST_CONCURRENCY}"
            )


def checked_options(options: RequestOptions) -> RequestOptions:
    """What all the requests of a map are to be like.

    Raises:
        InvalidRequestError: one of them cannot hold for many prompts.
    """
    if options.get("idempotency_key") is not None:
        raise InvalidRequestError(
            field="idempotency_key",
            reason="one key is one job: give GenerateRequest items, each with a key of its own",
        )
    return options


def as_request(given: Prompt | GenerateRequest, options: RequestOptions) -> GenerateRequest:
    """A request for a prompt; what is a request already stays as it is."""
    return given if isinstance(given, GenerateRequest) else GenerateRequest(given, **options)


class Mapping:
    """Requests under way and answers that wait to be read, of one `map`."""

    def __init__(self, link: Link, options: MapOptions) -> None:
        self._link = link
        self._options = options
        self._ready: dict[int, MapItem] = {}
        self._waiting: dict[asyncio.Task[None], JobHandle] = {}
        self._added = 0
        self._read = 0
        self._wake = asyncio.Event()
        self._finished = False
        self._trouble: BaseException | None = None

    @property
    def room(self) -> int:
        """How many more may be added now."""
        return self._options.concurrency - (self._added - self._read)

    @property
    def has_ready(self) -> bool:
        """Whether `next` would give something at once."""
        return self._place() is not None

    def finish(self, trouble: BaseException | None = None) -> None:
        """No more will be added; what ended the source is raised once all that was added is read."""
        self._finished = True
        self._trouble = trouble
        self._wake.set()

    async def add(self, requests: Sequence[GenerateRequest]) -> None:
        """Submit some more.

        Raises:
            ClientClosedError: nothing can be submitted any more.
        """
        first, self._added = self._added, self._added + len(requests)
        patience = Patience(self._options.wait_for_room_seconds)
        entries = await submit_patiently(self._link, requests, patience, submit_all, whole=False)
        for place, (request, entry) in enumerate(zip(requests, entries, strict=True), first):
            if isinstance(entry, LorayardError):
                self._put(MapItem(place=place, request=request, job_id=None, error=entry))
            else:
                task = asyncio.create_task(self._await(place, request, entry), name=f"map-{entry.id}")
                self._waiting[task] = entry
                task.add_done_callback(lambda done: self._waiting.pop(done, None))

    async def next(self) -> MapItem | None:
        """The next answer; None: there will be no more.

        Raises:
            ClientClosedError: the client was closed meanwhile; the jobs go on.
        """
        while (place := self._place()) is None:
            if self._finished and self._read == self._added:
                if self._trouble is not None:
                    raise self._trouble
                return None
            self._wake.clear()
            await self._wake.wait()
        self._read += 1
        item = self._ready.pop(place)
        if isinstance(item.error, ClientClosedError):
            raise item.error
        return item

    async def close(self) -> None:
        """Wait for no answer any more; the jobs go on, unless they are to be cancelled."""
        left = dict(self._waiting)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._options.cancel_rest and left:
            await cancel_many(self._link, [handle.id for handle in left.values()])

    def _place(self) -> int | None:
        if self._options.ordered:
            return self._read if self._read in self._ready else None
        return next(iter(self._ready), None)

    async def _await(self, place: int, request: GenerateRequest, handle: JobHandle) -> None:
        try:
            result = await handle.result(self._options.timeout_seconds)
        except LorayardError as error:
            self._put(MapItem(place=place, request=request, job_id=handle.id, error=error))
        else:
            self._put(MapItem(place=place, request=request, job_id=handle.id, result=result))

    def _put(self, item: MapItem) -> None:
        self._ready[item.place] = item
        self._wake.set()


async def mapped(
    link: Link, source: Source, requests: RequestOptions, options: MapOptions
) -> AsyncGenerator[MapItem]:
    """The answers to a source of prompts; see `Client.map`."""
    mapping = Mapping(link, options)
    room = asyncio.Event()
    feeder = asyncio.create_task(_feed(mapping, source, requests, room), name="map-feed")
    try:
        while (item := await mapping.next()) is not None:
            room.set()
            yield item
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
        await mapping.close()


async def _feed(mapping: Mapping, source: Source, requests: RequestOptions, room: asyncio.Event) -> None:
    try:
        async with aclosing(_chunks(source, mapping, room)) as chunks:
            async for chunk in chunks:
                await mapping.add([as_request(given, requests) for given in chunk])
    except Exception as error:  # noqa: BLE001  # the source's own: raised to whoever reads, behind its answers
        mapping.finish(error)
    else:
        mapping.finish()


async def _chunks(
    source: Source, mapping: Mapping, room: asyncio.Event
) -> AsyncGenerator[list[Prompt | GenerateRequest]]:
    """As many as there is room for, of a source that waits for nothing; else one by one as they come."""
    if isinstance(source, AsyncIterable):
        async for given in source:
            await _wait_for_room(mapping, room)
            yield [given]
        return
    rest: Iterator[Prompt | GenerateRequest] = iter(source)
    while True:
        await _wait_for_room(mapping, room)
        chunk = list(islice(rest, mapping.room))
        if not chunk:
            return
        yield chunk


async def _wait_for_room(mapping: Mapping, room: asyncio.Event) -> None:
    while mapping.room < 1:
        room.clear()
        await room.wait()
