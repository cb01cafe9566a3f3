"""`lorayard summarize`: documents in, their summaries out."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lorayard.client import Client
from lorayard.summarize.cache import Cache
from lorayard.summarize.errors import CacheError, OutputError, OutputInUseError
from lorayard.summarize.options import CHUNK_TOKENS, IN_FLIGHT, SummaryOptions
from lorayard.summarize.output.sink import Sink
from lorayard.summarize.plan import make_plan
from lorayard.summarize.prompt_set import PromptSet
from lorayard.summarize.readiness import known_yard
from lorayard.summarize.reading.document import MOST_BYTES
from lorayard.summarize.run import summarize_sources
from lorayard.summarize.sources import Source, Wanted, find_sources
from lorayard.summarize.styles import Style
from lorayard.summarize.tally import Tally
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, data_folder
from lorayard_cli.output import counted, note
from lorayard_cli.summary_progress import shown, state
from lorayard_cli.summary_sinks import FormatName, make_sink

DEFAULT_ADAPTER = "acme/gemma3-270m/summary"
CACHE_FOLDER = "summaries"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the summaries shall be like, and who writes them."""

    adapter: str = DEFAULT_ADAPTER
    """Which adapter summarizes; `base` is the model without any."""
    combine_adapter: str | None = None
    """Which one makes one summary of those of a long document's parts; else the same."""
    style: Literal["line", "paragraph", "bullets", "key-points"] = "line"
    """The form of a summary."""
    words: int | None = None
    """Its length, about; else what is usual for the style."""
    structured: Annotated[bool, Parameter(negative="")] = False
    """Have the model write title, summary and key points, held to a JSON schema."""
    prompts: Path | None = None
    """A folder with whole.txt, part.txt and combine.txt: what the model is told, with {text}, {title},
    {style} and {words} in their places. Else the adapter's own form, or lorayard's where it has none."""
    chunk_tokens: int = CHUNK_TOKENS
    """Tokens of text in one prompt, at most; longer documents are cut at sections and sentences."""
    max_new_tokens: int | None = None
    """Length of an answer at most; else by the words."""
    lane: Literal["urgent", "high", "normal", "bulk"] = "bulk"
    """How urgent the jobs are."""
    in_flight: int = IN_FLIGHT
    """Jobs under way at once."""
    max_bytes: int = MOST_BYTES
    """Larger files are listed and not read."""

    def options(self) -> SummaryOptions:
        """Checked.

        Raises:
            InvalidRequestError: one of them cannot be used.
        """
        return SummaryOptions(
            adapter=self.adapter,
            combine_adapter=self.combine_adapter,
            style=Style(self.style),
            words=self.words,
            structured=self.structured,
            prompts=None if self.prompts is None else PromptSet.read(self.prompts),
            chunk_tokens=self.chunk_tokens,
            max_new_tokens=self.max_new_tokens,
            lane=self.lane,
            in_flight=self.in_flight,
            most_bytes=self.max_bytes,
        )


USUAL = Asked()


async def summarize(
    paths: Annotated[list[Path], Parameter(consume_multiple=True)],
    *,
    out: Path | None = None,
    format: FormatName | None = None,
    cache: Path | None = None,
    files: Literal["documents", "text", "all"] = "text",
    asked: Asked = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Summarize documents: text, markdown, HTML, PDF and office files of any length.

    Run it again to go on after an interruption, or to summarize what has changed: answers are kept as they
    come. Ends with 1 when a document has no summary though it was read, with 5 when there was nothing to
    summarize. A document that cannot be read is listed and stops nothing.

    Parameters
    ----------
    paths
        Files, folders and patterns such as 'docs/**/*.md'.
    out
        Write here instead of JSON lines to stdout: a .jsonl file, a .md file for one report, or a folder.
    format
        jsonl, report, or markdown (a file for each document); else by the name of OUT.
    cache
        Where answers are kept; else `summaries` in the data folder (LORAYARD_DATA, or ./.lorayard).
    files
        Which files of folders: documents by their names, those and whatever else is text, or all.
    """
    del output  # JSON lines either way
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what is broken is listed with its file
    options = asked.options()
    # Listed once: a file that comes meanwhile would move the places, and names, of those behind it.
    sources = await asyncio.to_thread(lambda: list(find_sources(paths, wanted=Wanted(files))))
    if not sources:
        message = "no document under " + ", ".join(map(str, paths))
        raise CommandError(ExitCode.BAD_INPUT, "no_files", message, field="paths")
    tally = Tally(documents=len(sources))
    folder = cache or data_folder() / CACHE_FOLDER
    try:
        with make_sink(out, format, [str(source.name) for source in sources]) as sink, Cache(folder) as kept:
            async with client(yard) as connected:
                await _run(connected, sources, options, kept, sink, tally)
    except OutputInUseError as error:
        raise CommandError(ExitCode.PORT_IN_USE, "output_in_use", str(error), field="out") from error
    except OutputError as error:
        raise CommandError(ExitCode.USAGE, "out", str(error), field="out") from error
    except CacheError as error:
        raise CommandError(ExitCode.USAGE, "cache", str(error), field="cache") from error
    return _finished(tally)


async def _run(
    connected: Client,
    sources: Sequence[Source],
    options: SummaryOptions,
    cache: Cache,
    sink: Sink,
    tally: Tally,
) -> None:
    view, counter = await known_yard(connected, cache.folder, note)
    plan = make_plan(options, view, counter)
    tally.started = time.monotonic()
    try:
        async with (
            shown(tally),
            aclosing(summarize_sources(connected, sources, plan, cache, tally)) as records,
        ):
            async for placed in records:
                await asyncio.to_thread(sink.add, placed)
        await asyncio.to_thread(sink.finish, tally)
    except asyncio.CancelledError:
        note(f"interrupted: {tally.done} of {counted(tally.documents, 'document')} done, {state(tally)}")
        note("run the same command again to go on")
        raise


def _finished(tally: Tally) -> int:
    good = tally.done - tally.failed - tally.unreadable
    note(f"{good} of {counted(tally.documents, 'document')} summarized: {state(tally)}")
    sys.stderr.flush()
    if tally.failed:
        return ExitCode.FAILED
    return ExitCode.OK if good else ExitCode.BAD_INPUT
