"""A document's chunks for an event loop: read in a thread, a few at a time, and told which is the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from lorayard.summarize.splitter import Chunk

AT_ONCE: Final = 8
"""Chunks for each visit to the thread: a visit costs more than cutting one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FedChunk:
    """A chunk, and whether it is the first or the last."""

    chunk: Chunk
    is_only: bool


async def feed(chunks: Iterator[Chunk]) -> AsyncIterator[FedChunk]:
    """The chunks that say anything.

    Raises:
        DocumentError: as the reader does.
    """
    held: Chunk | None = None
    given = 0
    while batch := await asyncio.to_thread(lambda: list(islice(chunks, AT_ONCE))):
        for chunk in batch:
            if not chunk.text.strip():
                continue
            if held is not None:
                given += 1
                yield FedChunk(chunk=held, is_only=False)
            held = chunk
    if held is not None:
        yield FedChunk(chunk=held, is_only=not given)
