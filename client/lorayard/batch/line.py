"""One line of an OpenAI batch file: what it asks, or what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

from lorayard.openai_shapes import Asked, BodyError, Endpoint, read_body
from lorayard.request import LaneName
from lorayard_shared.value import value

MAX_LINE_BYTES = 16 * 2**20
"""Room for the longest prompt that the yard takes, as JSON escapes it; a longer line is a broken file."""

MAX_ID_CHARACTERS = 512
"""Of a custom_id: it is kept in both files, in a job's key and in the index."""

_FIELDS = frozenset({"custom_id", "method", "url", "body"})


@value
class Line:
    """A line that can be asked."""

    number: int
    """From 1 on, blank lines counted."""
    custom_id: str
    asked: Asked


@value
class BadLine:
    """A line that cannot, and why."""

    number: int
    custom_id: str | None
    """None where the line has none that can be told of, or repeats that of another line."""
    code: str
    message: str
    param: str | None = None


class _LineError(ValueError):
    """What is wrong, before it has a place."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def read_line(raw: bytes, number: int, *, lane: LaneName = "bulk") -> Line | BadLine | None:
    """Read one; None: it is blank. `lane` is for bodies that name none."""
    stripped = raw.strip()
    if not stripped:
        return None
    custom_id: str | None = None
    try:
        parsed = _parse(stripped)
        custom_id = _custom_id(parsed)
        endpoint = _endpoint(parsed)
        asked = read_body(endpoint, parsed.get("body"), lane=lane)
        if asked.stream:
            raise _LineError("unsupported_parameter", "a batch streams nothing", param="stream")
    except _LineError as error:
        code, message, param = error.code, str(error), error.param
    except BodyError as error:
        code, message, param = error.code, str(error), error.field
    else:
        return Line(number=number, custom_id=custom_id, asked=asked)
    return BadLine(number=number, custom_id=custom_id, code=code, message=message, param=param)


def repeated(line: Line | BadLine, first: int) -> BadLine:
    """A line whose custom_id an earlier one has: that one counts."""
    return BadLine(
        number=line.number,
        custom_id=None,
        code="duplicate_custom_id",
        message=f"custom_id {line.custom_id!r} is that of line {first} already",
        param="custom_id",
    )


def too_long(number: int, limit_bytes: int) -> BadLine:
    """A line beyond the limit, of which nothing was read."""
    message = f"the line is longer than {limit_bytes} bytes"
    return BadLine(number=number, custom_id=None, code="line_too_long", message=message)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise _LineError("invalid_utf8", f"no UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise _LineError("invalid_json_line", f"no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise _LineError("invalid_json_line", "a JSON object is needed")
    return parsed  # pyright: ignore[reportUnknownVariableType]


def _custom_id(parsed: dict[str, Any]) -> str:
    custom_id = parsed.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        raise _LineError("missing_custom_id", "custom_id: a text that is not empty", param="custom_id")
    if len(custom_id) > MAX_ID_CHARACTERS:
        reason = f"custom_id: at most {MAX_ID_CHARACTERS} characters"
        raise _LineError("invalid_custom_id", reason, param="custom_id")
    try:
        custom_id.encode()
    except UnicodeEncodeError as error:
        raise _LineError("invalid_custom_id", "custom_id: half a character", param="custom_id") from error
    return custom_id


def _endpoint(parsed: dict[str, Any]) -> Endpoint:
    if unknown := sorted(set(parsed) - _FIELDS):
        raise _LineError("unknown_parameter", f"{unknown[0]}: no such field", param=unknown[0])
    if parsed.get("method") != "POST":
        raise _LineError(
            "invalid_method", f"method: POST is needed, not {parsed.get('method')!r}", param="method"
        )
    try:
        return Endpoint(str(parsed.get("url")))
    except ValueError as error:
        known = " or ".join(Endpoint)
        raise _LineError("invalid_url", f"url: {known}, not {parsed.get('url')!r}", param="url") from error
