"""Recorded traffic: Azure's public LLM inference trace, or a yard's own jobs, one JSON object per line."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BufferedReader
from itertools import accumulate
from pathlib import Path
from stat import S_ISREG
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorayard_schemas.job import Lane

AZURE_HEADER: Final = "TIMESTAMP,ContextTokens,GeneratedTokens"
"""First line of AzurePublicDataset's AzureLLMInferenceTrace files, of 2023 and 2024."""

MAX_LINE_BYTES: Final = 16 * 1024
"""A line of either form has some hundred bytes; a file without line ends must not fill the memory."""

MAX_JOBS: Final = 1_000_000
"""More would take hours to simulate: take a part of the file."""

MAX_SECONDS: Final = 7 * 86_400.0
"""From the first job to the last: a modelled yard keeps its clock in the gaps too, a week in 12 minutes."""

_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
"""How gzip, zstd, zip, bzip2 and xz files begin."""

MAX_TOKENS: Final = 10_000_000
"""Past every context there is: such a number is a mistake, not a job."""

TENANT: Final = "trace"
"""Whose jobs are that the file names no tenant of."""

NORMAL: Final = tuple(Lane).index(Lane.NORMAL)
"""The lane of jobs that ask for none, by its number."""

_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)


class TraceError(Exception):
    """A trace that is not what it must be: the file, the line (from 1; None for the whole file) and why."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        where = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem
        self.field = "trace"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceJob:
    """One recorded job."""

    at: float  # seconds since the first
    adapter: str | None  # None: the base model's, or not known
    tenant: str
    priority: int  # 0 is the most urgent
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a file holds."""

    jobs: tuple[TraceJob, ...]  # in order of arrival, at least one
    names_adapters: bool

    @property
    def adapters(self) -> frozenset[str]:
        """All that are named."""
        return frozenset(job.adapter for job in self.jobs if job.adapter is not None)

    @property
    def seconds(self) -> float:
        """From the first arrival to the last."""
        return self.jobs[-1].at


class RecordedJob(BaseModel):
    """A line of a yard's own traffic."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    at: float = Field(ge=0, le=1e12, allow_inf_nan=False)
    """Seconds, from any zero; unix time does."""
    adapter: str | None = Field(default=None, min_length=1, max_length=512)
    """null is a job of the base model. No line of a file names one: they are drawn."""
    tenant: str = Field(default=TENANT, min_length=1, max_length=512)
    priority: int = Field(default=NORMAL, ge=0, le=3)
    prompt_tokens: int = Field(ge=0, le=MAX_TOKENS)
    completion_tokens: int = Field(ge=0, le=MAX_TOKENS)


def read_trace(path: Path) -> Trace:
    """Read all of it, or nothing.

    Raises:
        TraceError: the file cannot be read, is empty, or a line is not what it must be; it says which.
    """
    try:
        if not S_ISREG(path.stat().st_mode):
            raise TraceError(path, None, "not a regular file")
        with path.open("rb") as file:
            if file.peek(8).startswith(_COMPRESSED):
                raise TraceError(path, None, "compressed: unpack it first")
            return _read(path, file)
    except OSError as error:
        raise TraceError(path, None, error.strerror or type(error).__name__) from error


def draw_adapters(trace: Trace, *, adapters: int, exponent: float, seed: int) -> Trace:
    """Give every job an adapter by Zipf's law: the n-th most popular has a share of 1/n^exponent."""
    names = [f"adapter-{number:04d}" for number in range(adapters)]
    bounds = list(accumulate((number + 1) ** -exponent for number in range(adapters)))
    drawn = random.Random(seed).choices(names, cum_weights=bounds, k=len(trace.jobs))
    jobs = tuple(replace(job, adapter=name) for job, name in zip(trace.jobs, drawn, strict=True))
    return Trace(jobs=jobs, names_adapters=True)


def _read(path: Path, file: BufferedReader) -> Trace:
    lines = _lines(path, file)
    _, first = next(lines, (0, ""))
    if not first:
        raise TraceError(path, None, "empty")
    if first == AZURE_HEADER:
        return _collect(path, lines, _azure_job)
    if first.startswith("{"):
        file.seek(0)
        return _collect(path, _lines(path, file), _recorded_job)
    expected = f"expected the header {AZURE_HEADER}, or a JSON object on every line"
    raise TraceError(path, 1, f"{expected}; got {_cut(first)!r}")


def _lines(path: Path, file: BufferedReader) -> Iterator[tuple[int, str]]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise TraceError(path, number, f"longer than {MAX_LINE_BYTES} bytes")
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise TraceError(path, number, "not UTF-8 text") from error
        if "\0" in text:
            raise TraceError(path, number, "not text: it has zero bytes")
        if not text.strip():
            raise TraceError(path, number, "empty line")
        yield number, text


_Parse = Callable[[str], tuple[TraceJob, bool]]
"""A line's job, `at` from any zero, and whether it names an adapter. Raises ValueError."""


def _collect(path: Path, lines: Iterator[tuple[int, str]], parse: _Parse) -> Trace:
    jobs: list[TraceJob] = []
    names = False
    for number, line in lines:
        try:
            job, named = parse(line)
        except ValueError as error:
            raise TraceError(path, number, str(error)) from error
        if jobs and job.at < jobs[-1].at:
            raise TraceError(path, number, f"{jobs[-1].at - job.at:.6g} s before the line above it")
        if jobs and named is not names:
            raise TraceError(path, number, "names an adapter, or not, unlike the lines above it")
        if jobs and job.at - jobs[0].at > MAX_SECONDS:
            raise TraceError(path, number, "more than a week after the first job: take a part of the file")
        if len(jobs) == MAX_JOBS:
            raise TraceError(path, number, f"more than {MAX_JOBS:,} jobs: take a part of the file")
        jobs.append(job)
        names = named
    if not jobs:
        raise TraceError(path, None, "no jobs in it")
    return Trace(jobs=tuple(replace(job, at=job.at - jobs[0].at) for job in jobs), names_adapters=names)


def _azure_job(line: str) -> tuple[TraceJob, bool]:
    cells = line.split(",")
    if len(cells) != 3:
        raise ValueError(f"3 columns are needed, got {len(cells)}")
    at, prompt, completion = cells
    job = TraceJob(
        at=_timestamp(at),
        adapter=None,
        tenant=TENANT,
        priority=NORMAL,
        prompt_tokens=_count("ContextTokens", prompt),
        completion_tokens=_count("GeneratedTokens", completion),
    )
    return job, False


def _timestamp(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"TIMESTAMP is no date and time: {_cut(text)!r}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _count(name: str, text: str) -> int:
    if not _COUNT.fullmatch(text) or int(text) > MAX_TOKENS:
        raise ValueError(f"{name} must be a whole number from 0 to {MAX_TOKENS}, got {_cut(text)!r}")
    return int(text)


def _recorded_job(line: str) -> tuple[TraceJob, bool]:
    try:
        read = RecordedJob.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{_cut(where)!r}: {first['msg']}" if where else first["msg"]) from error
    return TraceJob(**read.model_dump()), "adapter" in read.model_fields_set


def _cut(text: str) -> str:
    """Enough of it to find it again."""
    return text if len(text) <= 60 else f"{text[:60]}..."
