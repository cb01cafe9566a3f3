"""What `summarize` writes for each document: one JSON object per line, whole lines only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from lorayard.result import Result
from lorayard_schemas.result import ErrorKind, ResultError


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One document and its summary, or why it has none."""

    path: str
    summary: str | None = None
    adapter: str | None = None
    version: str | None = None
    digest: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    characters: int | None = None
    """Of the document as it was read."""
    truncated: bool = False
    """The summary is of the document's beginning only."""
    kept_characters: int | None = None
    job: str | None = None
    error: dict[str, str | None] | None = None


def problem_line(path: Path, code: str, message: str) -> Line:
    """A file that never became a job."""
    return Line(path=str(path), error={"code": code, "message": message, "field": None})


def result_line(path: Path, result: Result, *, characters: int, kept: int) -> Line:
    """A document whose job has ended."""
    return Line(
        path=str(path),
        summary=result.text.strip() if result.succeeded else None,
        adapter=result.adapter,
        version=result.version,
        digest=result.digest,
        prompt_tokens=result.usage.prompt_tokens,
        completion_tokens=result.usage.completion_tokens,
        characters=characters,
        truncated=kept < characters,
        kept_characters=kept,
        job=result.job_id,
        error=None if result.succeeded else _error(result),
    )


def _error(result: Result) -> dict[str, str | None]:
    error = result.error or ResultError(
        kind=ErrorKind.PERMANENT, code=result.state.value, message=f"the job {result.state.value}"
    )
    return {"code": error.code, "message": error.message, "field": error.field}


def write_line(line: Line, out: TextIO) -> None:
    """Write and flush, so that what is done stays done whatever comes next."""
    out.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
    out.flush()
