"""Documents to summaries: a bounded number in flight, each answered by one line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lorayard import Client, JobHandle, LorayardError, YardFullError
from lorayard.errors import InvalidRequestError
from lorayard.request import LaneName, TemplateName
from lorayard.result import Result
from lorayard_cli.reading.cut import cut_to
from lorayard_cli.reading.files import FoundFile, UnreadableFileError, read_text
from lorayard_cli.reading.lines import Line, problem_line, result_line

TOO_LONG: Final = "prompt_too_long"
"""How an engine refuses a prompt that does not fit its context; only it can count its tokens."""

SHORTEST_CHARACTERS: Final = 64
FULL_WAIT_SECONDS: Final = 1.0
CANCEL_SECONDS: Final = 2.0

OnLine = Callable[[Line], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOrder:
    """How every document is asked about."""

    adapter: str
    prompt_format: str | None
    """`{doc}` stands for the document; None leaves the form to the adapter."""
    max_characters: int
    max_new_tokens: int
    lane: LaneName
    in_flight: int

    def prompt(self, document: str) -> str:
        """What is submitted for a document."""
        return document if self.prompt_format is None else self.prompt_format.replace("{doc}", document)

    @property
    def template(self) -> TemplateName:
        """Whose form the prompt takes."""
        return "adapter" if self.prompt_format is None else "none"


async def summarize_files(
    client: Client, files: Iterator[FoundFile], order: SummaryOrder, on_line: OnLine
) -> None:
    """Read, submit and report every file; never more than `in_flight` of them in memory.

    Raises:
        LorayardError: the yard is away, or takes no jobs.
    """
    async with asyncio.TaskGroup() as group:
        for number in range(order.in_flight):
            group.create_task(_work(client, files, order, on_line), name=f"summaries-{number}")


async def _work(client: Client, files: Iterator[FoundFile], order: SummaryOrder, on_line: OnLine) -> None:
    for found in files:  # one iterator for all: each takes the next file
        on_line(await _line(client, found, order))


async def _line(client: Client, found: FoundFile, order: SummaryOrder) -> Line:
    if found.problem is not None:
        return problem_line(found.path, "unreadable", found.problem)
    try:
        text = (await asyncio.to_thread(read_text, found.path)).strip()
        return await _summarize(client, found.path, text, order)
    except UnreadableFileError as error:
        return problem_line(found.path, "unreadable", str(error))
    except InvalidRequestError as error:
        if error.field in ("prompt", "request"):
            return problem_line(found.path, "bad_input", str(error))
        raise  # wrong for every document: an adapter's name, a number


async def _summarize(client: Client, path: Path, text: str, order: SummaryOrder) -> Line:
    limit = order.max_characters
    while True:
        kept = cut_to(text, limit)
        result = await _ask(client, order.prompt(kept), order)
        too_long = result.error is not None and result.error.code == TOO_LONG
        if not too_long or len(kept) <= SHORTEST_CHARACTERS:
            return result_line(path, result, characters=len(text), kept=len(kept))
        limit = len(kept) // 2


async def _ask(client: Client, prompt: str, order: SummaryOrder) -> Result:
    handle = await _submit(client, prompt, order)
    try:
        return await handle.outcome()
    except asyncio.CancelledError:
        # Nobody will read its answer. Without a dispatcher it runs for nothing, which does no harm.
        with suppress(LorayardError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await handle.cancel()
        raise


async def _submit(client: Client, prompt: str, order: SummaryOrder) -> JobHandle:
    while True:
        try:
            return await client.submit(
                prompt,
                adapter=order.adapter,
                lane=order.lane,
                max_new_tokens=order.max_new_tokens,
                template=order.template,
            )
        except YardFullError:
            await asyncio.sleep(FULL_WAIT_SECONDS)  # back-pressure: others' jobs make room
