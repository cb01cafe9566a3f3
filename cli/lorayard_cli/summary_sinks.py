"""Where `summarize` writes: by a format that was named, else by the name of the place."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lorayard.summarize.output.files import WholeFile, as_lines
from lorayard.summarize.output.folder import MarkdownFolder, names_of
from lorayard.summarize.output.report import as_report
from lorayard.summarize.output.sink import Lines, Sink
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError

FormatName = Literal["jsonl", "report", "markdown"]


def format_of(out: Path) -> FormatName:
    """What its name says."""
    if out.is_dir() or not out.suffix:
        return "markdown"
    return "report" if out.suffix.lower() in (".md", ".markdown") else "jsonl"


def make_sink(out: Path | None, chosen: FormatName | None, names: Sequence[str]) -> Sink:
    """`names` are those of the documents, in order.

    Raises:
        CommandError: the format needs a place.
    """
    if out is None:
        if chosen not in (None, "jsonl"):
            raise CommandError(ExitCode.USAGE, "usage", f"--format {chosen} needs --out", field="out")
        return Lines(sys.stdout)
    place = Path(os.path.realpath(out))  # two names of one place are one place
    match chosen or format_of(place):
        case "markdown":
            if place.exists() and not place.is_dir():
                raise CommandError(ExitCode.USAGE, "out", f"{out} is no folder", field="out")
            return MarkdownFolder(place, names_of(names))
        case "report":
            return WholeFile(_file(place), as_report)
        case "jsonl":
            return WholeFile(_file(place), as_lines)


def _file(place: Path) -> Path:
    if place.is_dir():
        raise CommandError(ExitCode.USAGE, "out", f"{place} is a folder", field="out")
    return place
