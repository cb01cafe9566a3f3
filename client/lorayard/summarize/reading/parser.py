"""The process that parses one file: text to stdout, and why there is none as JSON to stderr."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorayard.errors import ExtraMissingError
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.kinds import Kind
from lorayard.summarize.reading.office_file import read_office
from lorayard.summarize.reading.pdf_file import read_pdf
from lorayard.summarize.reading.whole_text import whole_text

READERS: dict[Kind, Callable[[Path], Iterator[str]]] = {Kind.PDF: read_pdf, Kind.OFFICE: read_office}


def main(kind: str, seconds: str, memory_bytes: str, text_bytes: str, name: str) -> int:
    """Parse; 0 when all of the text was written."""
    _limit(int(seconds), int(memory_bytes), int(text_bytes))
    logging.disable(logging.CRITICAL)  # what is broken is told once
    try:
        for block in READERS[Kind(kind)](Path(name)):
            _write(whole_text(block).encode())
    except DocumentError as error:
        return _told(reason=error.reason, code=error.code)
    except ExtraMissingError as error:
        what = str(error).partition(f" needs {error.package};")[0]
        return _told(extra=error.extra, package=error.package, what=what)
    except MemoryError:
        return _told(reason="its parser takes too much memory", code="too_large")
    except OSError as error:
        if error.errno == errno.EFBIG:
            return _told(reason=f"its text is longer than {text_bytes} bytes", code="too_large")
        return _told(reason=error.strerror or type(error).__name__, code="unreadable")
    return 0


def _write(text: bytes) -> None:
    """All of it, or an error: a buffered file says nothing of what it could not write behind a limit."""
    view = memoryview(text)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]


def _limit(seconds: int, memory_bytes: int, text_bytes: int) -> None:
    with suppress(ImportError):  # where there are no such limits the clock of the parent is the only one
        import resource

        # No dump of a parser's memory either.
        for what, most in (
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_AS, memory_bytes),
            (resource.RLIMIT_FSIZE, text_bytes),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(what)
            with suppress(ValueError, OSError):  # a machine may allow less
                resource.setrlimit(what, (most, hard))


def _told(**problem: Any) -> int:
    sys.stderr.write("\n" + json.dumps(problem) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
