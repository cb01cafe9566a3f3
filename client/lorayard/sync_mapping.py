"""`Client.map` for code without an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from lorayard.errors import ClientClosedError
from lorayard.link import Link
from lorayard.loop_thread import LoopThread
from lorayard.mapping import MapItem, MapOptions, Mapping, as_request
from lorayard.request import GenerateRequest, Prompt, RequestOptions


def sync_mapped(
    thread: LoopThread,
    link: Link,
    source: Iterable[Prompt | GenerateRequest],
    requests: RequestOptions,
    options: MapOptions,
) -> Iterator[MapItem]:
    """The source is read in the caller's thread, between two answers: it may block, or use this client."""
    mapping = thread.call(_make(link, options))
    rest = iter(source)
    try:
        while True:
            chunk = _chunk(rest, mapping, requests)
            if chunk is None:
                thread.call(_finish(mapping))
            elif chunk:
                thread.call(mapping.add(chunk))
                continue
            if (item := thread.call(mapping.next())) is None:
                return
            yield item
    finally:
        with suppress(ClientClosedError):
            thread.call(mapping.close())


def _chunk(
    rest: Iterator[Prompt | GenerateRequest], mapping: Mapping, requests: RequestOptions
) -> list[GenerateRequest] | None:
    """What there is room for, and no more than one when an answer is there; None: the source has ended."""
    chunk: list[GenerateRequest] = []
    while len(chunk) < mapping.room and not (chunk and mapping.has_ready):
        if (given := next(rest, None)) is None:
            return chunk or None
        chunk.append(as_request(given, requests))
    return chunk


async def _make(link: Link, options: MapOptions) -> Mapping:
    return Mapping(link, options)


async def _finish(mapping: Mapping) -> None:
    mapping.finish()
