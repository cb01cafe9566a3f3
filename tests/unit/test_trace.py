"""Recorded traffic is read whole, or refused with the line and what is wrong with it."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lorayard_cli.simulation import trace
from lorayard_cli.simulation.trace import (
    AZURE_HEADER,
    MAX_LINE_BYTES,
    NORMAL,
    TraceError,
    draw_adapters,
    read_trace,
)

AZURE = (
    f"{AZURE_HEADER}\n"
    "2023-11-16 18:15:46.6805900,374,44\n"
    "2023-11-16 18:15:50.9951690,396,109\n"
    "2023-11-16 18:15:50.9951690,0,7\n"
)
OWN = (
    '{"at": 5.5, "adapter": "acme/a", "tenant": "t", "priority": 0, '
    '"prompt_tokens": 3, "completion_tokens": 4}'
)

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(content: str | bytes) -> Path:
        path = tmp_path / "trace"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_azures_format_is_read(write: Write, mark: str, end: str) -> None:
    found = read_trace(write(mark + AZURE.replace("\n", end)))
    assert not found.names_adapters
    assert [round(job.at, 3) for job in found.jobs] == [0.0, 4.315, 4.315]
    assert [(job.prompt_tokens, job.completion_tokens) for job in found.jobs] == [
        (374, 44),
        (396, 109),
        (0, 7),
    ]
    assert {job.adapter for job in found.jobs} == {None}


def test_azures_timestamps_with_a_zone_are_read(write: Write) -> None:
    lines = ("2024-05-10 00:00:00.009930+00:00,1,2", "2024-05-10 02:00:01.009930+02:00,1,2")
    assert round(read_trace(write("\n".join((AZURE_HEADER, *lines)))).seconds, 6) == 1.0


def test_a_yards_own_traffic_is_read(write: Write) -> None:
    base = '{"at": 7, "adapter": null, "prompt_tokens": 1, "completion_tokens": 2}'
    found = read_trace(write(f"{OWN}\n{base}\n"))
    assert found.names_adapters
    assert found.adapters == {"acme/a"}
    first, second = found.jobs
    assert (first.at, first.adapter, first.tenant, first.priority) == (0.0, "acme/a", "t", 0)
    assert (second.at, second.adapter, second.priority) == (1.5, None, NORMAL)


def _second(line: str) -> str:
    return f"{AZURE_HEADER}\n2023-11-16 18:15:46,374,44\n{line}\n"


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"", None, "empty"),
        (AZURE_HEADER, None, "no jobs"),
        ("time,tokens\n1,2\n", 1, "expected the header"),
        ("\x1b[2J\n", 1, r"'\x1b[2J'"),
        (_second("2023-11-16 18:15:46,1"), 3, "3 columns are needed, got 2"),
        (_second("2023-11-16 18:15:46,1,2,3"), 3, "3 columns are needed, got 4"),
        (_second("yesterday,1,2"), 3, "TIMESTAMP"),
        (_second("nan,1,2"), 3, "TIMESTAMP"),
        (_second("2023-11-16 18:15:46,-1,2"), 3, "ContextTokens"),
        (_second("2023-11-16 18:15:46,1,nan"), 3, "GeneratedTokens"),
        (_second("2023-11-16 18:15:46,1,1e3"), 3, "GeneratedTokens"),
        (_second("2023-11-16 18:15:46,1,"), 3, "GeneratedTokens"),
        (_second("2023-11-16 18:15:46,1,999999999"), 3, "GeneratedTokens"),
        (_second("2023-11-16 18:15:46,1," + "9" * 5000), 3, "GeneratedTokens"),
        (_second("2023-11-16 18:15:45,1,2"), 3, "1 s before the line above"),
        (_second(""), 3, "empty line"),
        (_second("\0,1,2"), 3, "zero bytes"),
        (_second("2023-11-16 18:15:46,1,2").encode() + b"\xff\xfe", 4, "not UTF-8"),
        (gzip.compress(b"0" * 10_000_000), None, "compressed"),
        (b"PK\x03\x04", None, "compressed"),
        (OWN + "\n" + OWN.replace("5.5", "1e12"), 2, "more than a week after"),
        (_second("2024-11-16 18:15:46,1,2"), 3, "more than a week after"),
        (_second("9999-12-31 23:59:59.999999,1,2"), 3, "more than a week after"),
        (_second("x" * (MAX_LINE_BYTES + 1)), 3, "longer than 16384 bytes"),
        (b"\0" * (MAX_LINE_BYTES * 2), 1, "longer than 16384 bytes"),
        (f"{OWN}\nnull\n", 2, "object"),
        (f"{OWN}\n{{\n", 2, "JSON"),
        (f"{OWN}\n" + "[" * 10_000, 2, "JSON"),
        (OWN.replace("5.5", "NaN"), 1, "'at'"),
        (OWN.replace("5.5", "1e999"), 1, "'at'"),
        (OWN.replace("5.5", "-1"), 1, "'at'"),
        (OWN.replace("5.5", '"5.5"'), 1, "'at'"),
        (OWN.replace("3", "-3"), 1, "'prompt_tokens'"),
        (OWN.replace("3", "3.5"), 1, "'prompt_tokens'"),
        (OWN.replace("4", "true"), 1, "'completion_tokens'"),
        (OWN.replace('"priority": 0', '"priority": 9'), 1, "'priority'"),
        (OWN.replace("tenant", "tenent"), 1, "'tenent'"),
        (OWN.replace("acme/a", ""), 1, "'adapter'"),
        (f"{OWN}\n{OWN.replace('5.5', '5.25')}\n", 2, "0.25 s before the line above"),
        (f"{OWN}\n" + '{"at": 6, "prompt_tokens": 1, "completion_tokens": 1}', 2, "names an adapter, or not"),
    ],
)
def test_a_poisoned_trace_is_refused_with_the_line_and_what_is_wrong(
    write: Write, content: str | bytes, line: int | None, problem: str
) -> None:
    path = write(content)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert caught.value.line == line
    assert problem in caught.value.problem
    assert str(caught.value).startswith(f"{path}, line {line}: " if line else f"{path}: ")
    assert len(str(caught.value).removeprefix(str(path))) < 250


def test_more_jobs_than_can_be_simulated_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_JOBS", 2)
    with pytest.raises(TraceError, match="line 4: more than 2 jobs"):
        read_trace(write(AZURE))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="not a regular file"):
        read_trace(tmp_path)
    with pytest.raises(TraceError, match="No such file"):
        read_trace(tmp_path / "nothing")


def test_adapters_are_drawn_by_zipfs_law_and_the_seed_alone(write: Write) -> None:
    lines = [f"2023-11-16 18:15:46.{number:06d},1,1" for number in range(4000)]
    bare = read_trace(write("\n".join((AZURE_HEADER, *lines))))
    drawn = draw_adapters(bare, adapters=16, exponent=1.0, seed=1)
    assert drawn == draw_adapters(bare, adapters=16, exponent=1.0, seed=1)
    assert drawn != draw_adapters(bare, adapters=16, exponent=1.0, seed=2)
    count = Counter(job.adapter for job in drawn.jobs)
    assert len(count) == 16
    assert count["adapter-0000"] / count["adapter-0001"] == pytest.approx(2.0, rel=0.15)
    assert count["adapter-0000"] / count["adapter-0003"] == pytest.approx(4.0, rel=0.2)
