"""Look at every line of a batch's input before any is sent.

What is no request at all ends the batch, as OpenAI has it. A request that cannot be asked is told in the
error file, and the others are answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from lorayard.batch import BadLine, BatchOptions, Line
from lorayard.batch.id_index import IdIndex
from lorayard.batch.in_thread import in_thread
from lorayard.batch.raw_lines import survey
from lorayard.batch.source import Source
from lorayard_schemas.batch_record import MOST_ERRORS, LineError

BLOCK_LINES = 256

_ENDS_ALL: Final = frozenset(
    {
        "invalid_json_line",
        "invalid_utf8",
        "missing_custom_id",
        "invalid_custom_id",
        "duplicate_custom_id",
        "invalid_method",
        "invalid_url",
        "line_too_long",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found."""

    lines: int
    """Blank ones not counted."""
    errors: tuple[LineError, ...]
    """Of which one alone ends the batch; the first hundred."""


async def check_lines(
    input: Path, index: Path, options: BatchOptions, *, endpoint: str, most_lines: int
) -> Checked:
    """Read all lines, a block in memory at a time; `index` is a file of our own.

    Raises:
        BatchError: the disk takes no more.
        OSError: the input cannot be read.
    """
    errors: list[LineError] = []
    ids = IdIndex(index)
    source = Source(input, ids, options, await in_thread(partial(survey, input)))
    try:
        while not source.ended and len(errors) < MOST_ERRORS and source.lines <= most_lines:
            block = await in_thread(partial(source.block, BLOCK_LINES))
            errors += [wrong for line in block if (wrong := _wrong(line, endpoint)) is not None]
        lines = source.lines
    finally:
        source.close()
        ids.close()
    if lines > most_lines:
        errors = [LineError(code="too_many_lines", message=f"a batch has at most {most_lines} lines")]
    elif not lines:
        errors = [LineError(code="empty_file", message="the input file has no lines")]
    return Checked(lines=lines, errors=tuple(errors[:MOST_ERRORS]))


def _wrong(line: Line | BadLine, endpoint: str) -> LineError | None:
    if isinstance(line, BadLine):
        if line.code not in _ENDS_ALL:
            return None
        return LineError(code=line.code, message=line.message, line=line.number, param=line.param)
    if line.asked.endpoint == endpoint:
        return None
    message = f"url: {line.asked.endpoint.value} is not the endpoint of the batch, {endpoint}"
    return LineError(code="invalid_url", message=message, line=line.number, param="url")
