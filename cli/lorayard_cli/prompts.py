"""Where the prompt of `lorayard submit` comes from, and its schema."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.text_file import UnreadableFileError, read_text

STDIN = "-"
_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=\S*)?")


def no_option(_kind: object, value: str | None) -> None:
    """Refuse a mistyped option in the place of the prompt; `-` and a list's hyphen are none.

    Raises:
        ValueError: it looks like one.
    """
    if value is not None and _OPTION.fullmatch(value):
        raise ValueError(f"{value} is no option of submit")


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """The prompt as given, from the file, or from standard input.

    Raises:
        CommandError: there is none, there are two, or the file has no text.
    """
    if prompt is not None and file is not None:
        raise CommandError(ExitCode.USAGE, "usage", "give either PROMPT or --file, not both", field="prompt")
    if file is not None:
        return _from_file(file, "file")
    if prompt == STDIN or (prompt is None and not sys.stdin.isatty()):
        return _from_stdin()
    if prompt is None:
        raise CommandError(
            ExitCode.USAGE, "usage", 'give a prompt, as in: lorayard submit "Some text"', field="prompt"
        )
    return prompt


def _from_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise CommandError(
            ExitCode.BAD_INPUT, "bad_input", f"standard input is not UTF-8 ({error})", field="prompt"
        ) from error


def read_schema(file: Path) -> str:
    """A JSON schema from a file; whether it can be used is for the worker to say.

    Raises:
        CommandError: the file has no text.
    """
    return _from_file(file, "json_schema")


def _from_file(file: Path, field: str) -> str:
    try:
        return read_text(file)
    except UnreadableFileError as error:
        raise CommandError(ExitCode.BAD_INPUT, "bad_input", f"{file}: {error}", field=field) from error
