"""`lorayard summarize`: files in, one JSON line each out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

from cyclopts import Parameter

from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import UNWRITABLE, note
from lorayard_cli.progress import Advance, progress
from lorayard_cli.reading.files import find_files
from lorayard_cli.reading.lines import Line, write_line
from lorayard_cli.reading.summaries import SummaryOrder, summarize_files

DEFAULT_ADAPTER = "acme/gemma3-270m/summary"
DEFAULT_CHARACTERS = 4000
"""About 1,000 tokens: the demo's adapters learnt on 300, and a long prefill takes seconds on a CPU."""


async def summarize(
    paths: Annotated[list[Path], Parameter(consume_multiple=True)],
    *,
    adapter: str = DEFAULT_ADAPTER,
    out: Path | None = None,
    max_characters: int = DEFAULT_CHARACTERS,
    max_new_tokens: int = 64,
    prompt_format: str | None = None,
    lane: Literal["urgent", "high", "normal", "bulk"] = "bulk",
    in_flight: int = 32,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Summarize text and markdown files; one JSON object per line, in the order they finish.

    Each line has path, summary, adapter, version, digest, tokens, truncated, and error where there is no
    summary: a file that is empty, unreadable or no text is listed and stops nothing. Ends with 1 when a job
    failed, with 5 when there was nothing to summarize.

    Parameters
    ----------
    paths
        Files, and folders to search for .txt, .md, .rst and the like.
    adapter
        Which adapter summarizes.
    out
        Write the lines to this file instead of stdout.
    max_characters
        Longer documents are cut at the end of a sentence.
    max_new_tokens
        Length of a summary at most.
    prompt_format
        What the model is given, {doc} in the place of the document, instead of the adapter's own form.
    lane
        How urgent the jobs are.
    in_flight
        Documents under way at once.
    """
    del output  # JSON lines either way
    order = SummaryOrder(
        adapter=adapter,
        prompt_format=_checked_format(prompt_format),
        max_characters=_positive(max_characters, "max_characters"),
        max_new_tokens=max_new_tokens,
        lane=lane,
        in_flight=_positive(in_flight, "in_flight"),
    )
    return await _run(yard, paths, order, out)


async def _run(yard: YardAddress, paths: list[Path], order: SummaryOrder, out: Path | None) -> int:
    total = sum(1 for _ in find_files(paths))
    if not total:
        raise CommandError(
            ExitCode.BAD_INPUT, "no_files", "no text file under " + ", ".join(map(str, paths)), field="paths"
        )
    with _target(out) as stream, progress(total, "summarize") as advance:
        tally = _Tally(stream, advance, total)
        await _write(yard, paths, order, tally)
    return tally.finish()


async def _write(yard: YardAddress, paths: list[Path], order: SummaryOrder, tally: _Tally) -> None:
    try:
        async with client(yard) as connected:
            await summarize_files(connected, find_files(paths), order, tally.take)
    except asyncio.CancelledError:
        note(f"interrupted: {tally.written} of {tally.total} documents are written")
        raise
    except ExceptionGroup as group:
        raise _first(group) from None  # what stopped one document's task would stop them all


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return error  # pyright: ignore[reportUnknownVariableType]


class _Tally:
    """Writes the lines and counts how they ended."""

    def __init__(self, stream: TextIO, advance: Advance, total: int) -> None:
        self._stream = stream
        self._advance = advance
        self.total = total
        self.written = self._summaries = self._failed = 0

    def take(self, line: Line) -> None:
        """One document is done."""
        write_line(line, self._stream)
        self.written += 1
        self._advance(line.path)
        if line.error is None:
            self._summaries += 1
        elif line.job is not None:
            self._failed += 1
            if line.error["code"] == "unknown_adapter":
                # No document would fare better.
                message = line.error["message"] or "unknown adapter"
                raise CommandError(ExitCode.UNKNOWN_ADAPTER, "unknown_adapter", message, field="adapter")

    def finish(self) -> int:
        """Say how it went; returns the exit code."""
        skipped = self.written - self._summaries - self._failed
        failed = f", {self._failed} failed" if self._failed else ""
        note(f"{self._summaries} summarized{failed}{f', {skipped} without text' if skipped else ''}")
        if self._failed:
            return ExitCode.FAILED
        return ExitCode.OK if self._summaries else ExitCode.BAD_INPUT


@contextmanager
def _target(out: Path | None) -> Generator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        stream = out.open("w", encoding="utf-8", errors=UNWRITABLE)
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror}"
        raise CommandError(ExitCode.USAGE, "out", message, field="out") from error
    with stream:
        yield stream


def _checked_format(prompt_format: str | None) -> str | None:
    if prompt_format is not None and "{doc}" not in prompt_format:
        raise CommandError(
            ExitCode.USAGE,
            "usage",
            "--prompt-format needs {doc} where the document goes",
            field="prompt_format",
        )
    return prompt_format


def _positive(number: int, field: str) -> int:
    if number < 1:
        option = field.replace("_", "-")
        raise CommandError(
            ExitCode.USAGE, "usage", f"--{option} must be at least 1, got {number}", field=field
        )
    return number
