"""One document: its chunks are asked about as they are read, and their summaries combined as they come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from lorayard.summarize.asking import TOO_LONG, Answer, Asker, Question
from lorayard.summarize.borders import cut_at
from lorayard.summarize.chunk_feed import feed
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.fold import Fold, Group, Place
from lorayard.summarize.identity import Answerer, has_moved
from lorayard.summarize.plan import Plan
from lorayard.summarize.prompt_set import TEXT, fill
from lorayard.summarize.reading.whole_text import REPLACED, whole_text
from lorayard.summarize.room import TITLE
from lorayard.summarize.splitter import Chunk, split
from lorayard.summarize.structure import check_structured, is_field_name, read_structured, schema
from lorayard.summarize.styles import Style
from lorayard.summarize.wording import bullets, plain_summary

HEADING: Final = re.compile(
    r"^#{1,6}[ \t]+(?P<hashed>\S.*?)[ \t]*#*[ \t]*$|^(?P<lined>\S.*)\n[=~-]{3,}[ \t]*$", re.MULTILINE
)
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
"""Of Markdown, as static sites and manuals have it: YAML between dashes."""
_TITLE: Final = re.compile(r"^title:[ \t]*(?P<quote>[\"']?)(?P<title>\S.*?)(?P=quote)[ \t]*$", re.MULTILINE)

LOOKED_AT: Final = 4096
"""Characters: a heading that names the document stands at its beginning."""

SHORTEST_CHARACTERS: Final = 64


@dataclass(slots=True, kw_only=True)
class _Counted:
    """What has been read and spent on a document."""

    title: str | None = None
    chunks: int = 0
    characters: int = 0
    replaced: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    moved: bool = False
    """Whether an alias was moved meanwhile: another run would have it answered by others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarized:
    """What came of a document."""

    title: str | None
    summary: str
    key_points: tuple[str, ...]
    last: Answer
    counted: _Counted


@dataclass(slots=True, kw_only=True)
class DocumentWork:
    """Everything that one document needs while it is under way."""

    plan: Plan
    asker: Asker
    name: str
    counted: _Counted = field(default_factory=_Counted)

    async def summarize(self, blocks: Iterator[str]) -> Summarized:
        """Read, ask and combine.

        Raises:
            DocumentError: it has no text, or a part of it no answer.
            JobFailedError, LorayardError: nothing can be asked.
        """
        chunks = split(blocks, self.plan.counter, self.plan.room.chunk_tokens)
        tree = _Tree(self)
        try:
            async with asyncio.TaskGroup() as group:
                last = await tree.grow(group, chunks)
        except ExceptionGroup as several:
            raise _first(several) from None  # one part without an answer leaves the document without one
        return self._summarized(last or tree.last)

    def _summarized(self, last: Answer | None) -> Summarized:
        if last is None:
            raise DocumentError("empty")
        title, text, points = self.counted.title, last.text, tuple[str, ...]()
        if self.plan.options.structured:
            record = read_structured(text, self.plan.options.wanted_words)
            title = self.counted.title if is_field_name(record.title) else record.title
            summary, points = record.summary, record.key_points
        else:
            summary = plain_summary(text)
            points = bullets(summary)
            if self.plan.options.style is Style.LINE:
                summary = " ".join(summary.split())  # models keep a text's line ends
        return Summarized(title=title, summary=summary, key_points=points, last=last, counted=self.counted)

    # ---- questions

    async def ask_whole(self, text: str) -> Answer:
        """About a document that fits into one prompt."""
        return await self._ask(self.plan.prompts.whole, self.plan.parts, text, final=True)

    async def ask_part(self, text: str) -> str:
        """About one chunk of a longer one."""
        try:
            answer = await self._ask(self.plan.prompts.part, self.plan.parts, text, final=False)
        except DocumentError as error:
            if error.code != TOO_LONG or len(text) < SHORTEST_CHARACTERS:
                raise
            # Only where tokens were estimated.
            middle = cut_at(text, len(text) // 2)
            return f"{await self.ask_part(text[:middle])}\n{await self.ask_part(text[middle:])}"
        return self.within_budget(plain_summary(answer.text))

    def within_budget(self, text: str) -> str:
        """A partial summary as it fits beside the others: what a model writes in so many tokens may be more
        of them once it is read again, as broken characters are."""
        counter, most = self.plan.counter, self.plan.options.part_tokens
        if not counter.is_exact or counter.count(text) <= most:
            return text
        return text[: counter.prefix(text, most)]

    async def combine(self, group: Group) -> Answer:
        """Several partial summaries into one."""
        text = "\n\n".join(group.texts)
        return await self._ask(self.plan.prompts.combine, self.plan.combining, text, final=group.is_root)

    async def _ask(self, prompt: str, answerer: Answerer, text: str, *, final: bool) -> Answer:
        options = self.plan.options
        structured = final and options.structured
        style = self.plan.style if final else self.plan.style_of_parts
        title = whole_text(self.counted.title or self.name)[: len(TITLE)]
        # White space around a chunk is where it was cut: it would only make prompts differ.
        filled = fill(prompt, text=text.strip(), title=title, style=style, words=str(options.wanted_words))
        question = Question(
            prompt=filled,
            adapter=answerer.adapter,
            identity=answerer.identity,
            template="adapter" if prompt == TEXT else "none",
            max_new_tokens=options.final_tokens if final else options.part_tokens,
            json_schema=schema(options.wanted_words) if structured else None,
        )
        answer = await self.asker.ask(question, self._check_record if structured else plain_summary)
        self.counted.prompt_tokens += answer.prompt_tokens
        self.counted.completion_tokens += answer.completion_tokens
        moved = has_moved(answerer.adapter, answerer.identity, answer.adapter, answer.digest)
        self.counted.moved = self.counted.moved or moved
        return answer

    def _check_record(self, text: str) -> None:
        names = (self.name, PurePath(self.name).stem)
        check_structured(text, self.plan.options.wanted_words, names=names)


class _Tree:
    """Grows as chunks are read; what is combined is combined at once."""

    def __init__(self, work: DocumentWork) -> None:
        self._work = work
        self._fold = Fold(work.plan.room.fan_in)
        # Twice what can be under way: behind each answer the next chunk waits, and no file is read further.
        self._gate = asyncio.Semaphore(2 * work.plan.options.in_flight)
        self.last: Answer | None = None

    async def grow(self, group: asyncio.TaskGroup, chunks: Iterator[Chunk]) -> Answer | None:
        """Begin a task for each chunk; a document of a single one is answered at once."""
        async for fed in feed(self._counted(chunks)):
            if fed.is_only:
                return await self._work.ask_whole(fed.chunk.text)
            await self._gate.acquire()
            place = self._fold.add_leaf()
            group.create_task(self._leaf(group, place, fed.chunk.text), name=f"part-{place.index}")
            self._combine(group)
        self._fold.end()
        self._combine(group)
        return None

    def _counted(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        counted = self._work.counted
        for chunk in chunks:
            if not counted.chunks:
                counted.title = title_of(chunk.text)
            counted.chunks += 1
            counted.characters += len(chunk.text)
            counted.replaced += chunk.text.count(REPLACED)
            counted.tokens += chunk.tokens
            yield chunk

    async def _leaf(self, group: asyncio.TaskGroup, place: Place, text: str) -> None:
        try:
            self._fold.put(place, await self._work.ask_part(text))
        finally:
            self._gate.release()
        self._combine(group)

    def _combine(self, group: asyncio.TaskGroup) -> None:
        for ready in self._fold.ready():
            name = f"combine-{ready.place.level}-{ready.place.index}"
            group.create_task(self._node(group, ready), name=name)

    async def _node(self, group: asyncio.TaskGroup, ready: Group) -> None:
        answer = await self._work.combine(ready)
        if ready.is_root:
            self.last = answer
            return
        self._fold.put(ready.place, self._work.within_budget(plain_summary(answer.text)))
        self._combine(group)


def title_of(text: str) -> str | None:
    """What its front matter names, else the first heading, if the document has one near its beginning."""
    start = text[:LOOKED_AT]
    if (front := _FRONT_MATTER.match(start)) is not None:
        if (named := _TITLE.search(front[1])) is not None:
            return named["title"]
        start = start[front.end() :]  # its last line stands above dashes, as a heading does
    found = HEADING.search(start)
    return None if found is None else (found["hashed"] or found["lined"]).strip()


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return error  # pyright: ignore[reportUnknownVariableType]
