"""Parse a file in a process of its own, with an end to its time, memory and output.

Parsers of PDF and office files are large and written for honest files: a broken one may loop, a hostile one
unpack to more than any memory. Neither may take the other documents with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from lorayard.errors import ExtraMissingError
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.kinds import Kind

PARSE_SECONDS: Final = 600.0
"""By the clock: a book of a thousand pages takes a minute."""

PARSE_MEMORY_BYTES: Final = 4 * 2**30
"""Of addresses, which are more than what is used."""

PARSED_BYTES: Final = 2**30
"""Of text that may come out."""

MOST_TOLD: Final = 64 * 1024

APART: Final = frozenset({Kind.PDF, Kind.OFFICE})
"""Kinds that are parsed so."""

KILLED: Final = {-24: "its parser took too long"}
"""By signal: the limit of its processor time."""


async def parse_apart(path: Path, kind: Kind) -> IO[bytes]:
    """The file's text, in a file without a name.

    Raises:
        DocumentError: it gives none, or takes too much to read.
        ExtraMissingError: it is read by what an extra brings.
    """
    limits = [str(int(number)) for number in (PARSE_SECONDS, PARSE_MEMORY_BYTES, PARSED_BYTES)]
    # -P: no module of the working folder takes the place of one of ours.
    command = [sys.executable, "-P", "-m", "lorayard.summarize.reading.parser", kind.value, *limits]
    text = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    try:
        child = await asyncio.create_subprocess_exec(
            *command, str(path), stdin=asyncio.subprocess.DEVNULL, stdout=text, stderr=PIPE
        )
        told = await _ended(child)
        if child.returncode:
            raise _problem(child.returncode, told)
        text.seek(0)
    except OSError as error:
        text.close()
        raise DocumentError(error.strerror or type(error).__name__) from error
    except BaseException:
        text.close()
        raise
    return text


async def _ended(child: Process) -> bytes:
    """What it says of itself, within the time there is."""
    try:
        async with asyncio.timeout(PARSE_SECONDS):
            _, told = await child.communicate()
    except TimeoutError as error:
        raise DocumentError("its parser took too long", code="too_large") from error
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return told[-MOST_TOLD:]


def _problem(code: int, told: bytes) -> Exception:
    last = told.decode(errors="replace").strip().rpartition("\n")[2]
    try:
        problem: dict[str, Any] = json.loads(last)
        if "extra" in problem:
            return ExtraMissingError(**problem)
        return DocumentError(problem["reason"], code=problem["code"])
    except (ValueError, KeyError, TypeError):
        reason = KILLED.get(code, f"its parser ended with {code}: {last or 'and said nothing'}")
        return DocumentError(reason, code="too_large" if code in KILLED else "unreadable")
