"""Many documents at once, each answered by one record; whatever happens to one stops no other."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from lorayard.client import Client
from lorayard.errors import ExtraMissingError
from lorayard.summarize.asking import Asker
from lorayard.summarize.cache import Cache
from lorayard.summarize.document import DocumentWork, Summarized
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.identity import key_of
from lorayard.summarize.kinds import kind_of
from lorayard.summarize.plan import Plan
from lorayard.summarize.reading.apart import APART, parse_apart
from lorayard.summarize.reading.document import FileContent, look_at, read_document
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.sources import Source
from lorayard.summarize.tally import Tally
from lorayard.summarize.wording import UnusableAnswerError

PARSERS: Final = max(1, (os.cpu_count() or 2) // 2)
"""Processes that parse at once, each with some hundred megabytes; the other cores are the yard's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A record, and where its document stood among the sources."""

    place: int
    record: DocumentRecord


async def summarize_sources(
    client: Client, sources: Iterable[Source], plan: Plan, cache: Cache, tally: Tally
) -> AsyncGenerator[Placed]:
    """A record for every source, as they are done; never more documents at once than jobs.

    Raises:
        JobFailedError: nobody has the adapter.
        CacheError: what is done cannot be kept.
        LorayardError: the yard is away, or takes no jobs.
    """
    run = _Run(client, plan, cache, tally)
    numbered, ended = enumerate(sources), False
    waiting: set[asyncio.Task[Placed]] = set()
    try:
        while True:
            room = plan.options.in_flight - len(waiting)
            # In a thread: whoever lists folders on the way looks at their files.
            found: list[tuple[int, Source]] = []
            if not ended:
                found = await asyncio.to_thread(_next, numbered, room)
            ended = len(found) < room
            for place, source in found:
                waiting.add(asyncio.create_task(run.document(place, source), name=f"document-{place}"))
            if not waiting:
                return
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _next(numbered: Iterator[tuple[int, Source]], most: int) -> list[tuple[int, Source]]:
    return list(itertools.islice(numbered, most))


class _Run:
    """What the documents of one run share."""

    def __init__(self, client: Client, plan: Plan, cache: Cache, tally: Tally) -> None:
        self._plan, self._cache, self._tally = plan, cache, tally
        self._plan_key = plan.key
        options = plan.options
        self._asker = Asker(
            client,
            cache,
            tally,
            base_digests=plan.base_digests,
            in_flight=options.in_flight,
            lane=options.lane,
            attempts=options.attempts,
        )
        self._same = WeakValueDictionary[str, asyncio.Lock]()
        self._parsers = asyncio.Semaphore(PARSERS)

    async def document(self, place: int, source: Source) -> Placed:
        record = await self._record(source)
        self._tally.done += 1
        self._tally.kept += record.kept
        if record.error is not None and record.content is None:
            self._tally.unreadable += 1
        elif record.error is not None:
            self._tally.failed += 1
        return Placed(place=place, record=record)

    async def _record(self, source: Source) -> DocumentRecord:
        if source.problem is not None:
            return DocumentRecord.problem(source, "unreadable", source.problem)
        try:
            content = await asyncio.to_thread(look_at, source.path, most_bytes=self._plan.options.most_bytes)
        except DocumentError as error:
            return DocumentRecord.problem(source, error.code, error.reason)
        # Copies of a text are common: the second one waits for what the first one makes.
        lock = self._same.setdefault(content.digest, asyncio.Lock())
        async with lock:
            return await self._of_content(source, content)

    async def _reading(self, source: Source, content: FileContent) -> Iterator[str]:
        if (kind := kind_of(source.path)) not in APART:
            return read_document(source.path, content)
        async with self._parsers:
            return read_document(source.path, content, await parse_apart(source.path, kind))

    async def _of_content(self, source: Source, content: FileContent) -> DocumentRecord:
        key = key_of({"content": content.digest, "plan": self._plan_key})
        kept = await self._cache.document(key)
        if kept is not None:
            return DocumentRecord.kept_for(kept, source)
        work = DocumentWork(plan=self._plan, asker=self._asker, name=source.path.name)
        try:
            found = await work.summarize(await self._reading(source, content))
        except (DocumentError, UnusableAnswerError, ExtraMissingError) as error:
            return _problem(source, content, error, asked=work.counted.chunks > 0)
        record = _record(source, content, found)
        if not found.counted.moved:
            await self._cache.keep_document(key, record.to_ascii())
        return record


def _problem(source: Source, content: FileContent, error: Exception, *, asked: bool) -> DocumentRecord:
    code = error.code if isinstance(error, DocumentError) else "unreadable"
    if isinstance(error, UnusableAnswerError):
        code = "bad_answer"
    message = str(error)
    failed = asked and code not in ("unreadable", "changed")
    return DocumentRecord(
        path=str(source.path),
        name=str(source.name),
        content=content.digest if failed else None,
        size_bytes=content.size_bytes,
        error={"code": code, "message": message},
    )


def _record(source: Source, content: FileContent, found: Summarized) -> DocumentRecord:
    counted, last = found.counted, found.last
    return DocumentRecord(
        path=str(source.path),
        name=str(source.name),
        title=found.title,
        summary=found.summary,
        key_points=found.key_points,
        adapter=last.adapter,
        version=last.version,
        digest=last.digest,
        base_digest=last.base_digest,
        content=content.digest,
        size_bytes=content.size_bytes,
        characters=counted.characters,
        replaced_characters=counted.replaced,
        tokens=counted.tokens,
        chunks=counted.chunks,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
    )
