"""Where things are printed: data to stdout, everything else to stderr.

With `--json` stdout carries JSON and nothing else: one document, or one per line where a command says so.
"""

from __future__ import annotations

import io
import json
import re
import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lorayard_cli.failures import Failure

UNWRITABLE = "backslashreplace"
"""How text is written that the encoding has no bytes for."""

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but tabs and line ends: names come from whoever may publish."""

PIPE_WIDTH = 120
"""Columns when stdout is no terminal: a table cut to 80 would lose digests and names."""

COLUMNS = 80
"""Of a sentence: it reads the same in a terminal, a pipe and a ticket."""


def ready_streams() -> None:
    """Make standard output take any text: a file's name need not be UTF-8, a terminal may know only ASCII.

    What cannot be written becomes an escape, and half of a surrogate pair becomes one that JSON reads back.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # a shell's `>&-`
        sys.stdout = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=UNWRITABLE)


def out() -> Console:
    """Standard output for tables and text."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error for progress and notes."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # Looked up at each call: tests and pipes replace the streams.
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def counted(count: int, noun: str) -> str:
    """`1 adapter`, `2 adapters`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_json(document: Any) -> None:
    """One JSON document on a line of its own."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Text as it is: a model's answer is no markup."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def folded(text: str, *, indent: int = 0) -> list[str]:
    """A sentence as lines of 80 columns; those after the first begin with blanks. No word is cut."""
    wrapper = textwrap.TextWrapper(COLUMNS, break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * indent
    return wrapper.wrap(text)


def note(text: str) -> None:
    """A line for people, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def report(failure: Failure, *, as_json: bool) -> None:
    """Say what went wrong: a line on stderr, and with `--json` an object on stdout too."""
    note(f"error: {failure.message}")
    if as_json:
        error: dict[str, object] = {
            "code": failure.code,
            "message": failure.message,
            "field": failure.field,
        }
        if failure.retry_after_seconds is not None:
            error["retry_after_seconds"] = failure.retry_after_seconds
        print_json({"error": error})


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table in the house style: no boxes, so that it can be copied and grepped."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def plain(text: object) -> str:
    """Text that rich prints as it is; what would steer a terminal becomes an escape that can be read."""
    return escape(_STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text)))


def short_digest(digest: str | None) -> str:
    """Enough of a digest to tell two apart."""
    return digest.partition(":")[2][:12] if digest else "-"
