"""Reading a batch's input: any bytes are lines, bad ones are told, and memory is bounded (E6, G3)."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard.batch import (
    BadLine,
    BatchFilesError,
    BatchOptions,
    BatchRunsAlreadyError,
    BrokenOutputError,
    Line,
    OutputWriteError,
    batch_files,
    read_line,
)
from lorayard.batch.answer_lines import bad_line
from lorayard.batch.id_index import IdIndex
from lorayard.batch.later import Later
from lorayard.batch.line_file import LineFile
from lorayard.batch.raw_lines import raw_lines, survey
from lorayard.batch.source import Source
from lorayard.batch.window import Window
from lorayard.batch.work import keys_of, work_of

GOOD = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/completions",
    "body": {"model": "base", "prompt": "hello"},
}
RAW = json.dumps(GOOD).encode()

PIECES = st.sampled_from(
    [
        RAW,
        b"\n",
        b"\r\n",
        b"{",
        b"}",
        b'"',
        b"custom_id",
        b"\xff",
        b"\xef\xbb\xbf",
        b"[",
        b"1e999",
        b" ",
        b"\\ud800",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=5), max_size=12).map(b"".join))
def test_any_line_is_read_or_told(raw: bytes) -> None:
    line = read_line(raw, 7)
    if line is None:
        assert not raw.strip()
    elif isinstance(line, BadLine):
        assert line.number == 7
        assert line.code
        json.loads(bad_line("b", line))
    else:
        assert line.asked.requests


@given(st.binary(max_size=60), st.integers(1, 20))
def test_lines_are_those_of_the_file_however_long(text: bytes, limit: int) -> None:
    found = list(raw_lines(io.BytesIO(text), limit))
    expected = text.removeprefix(b"\xef\xbb\xbf") if found and found[0].body is not None else text
    lines = io.BytesIO(text).readlines()
    assert [line.number for line in found] == list(range(1, len(lines) + 1))
    assert sum(len(line) for line in lines) == (found[-1].end if found else 0)
    for one, whole in zip(found[1:], lines[1:], strict=True):
        assert one.body == (whole if len(whole) <= limit + whole.endswith(b"\n") else None)
    assert expected.startswith(found[0].body or b"") if found else not text


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 8), st.integers(1, 3), st.integers(1, 5))
def test_the_window_gives_each_once_and_groups_together(
    groups: list[int], capacity: int, at_once: int, count: int
) -> None:
    window = Window[int](capacity, groups_at_once=at_once)
    given_out: list[int] = []
    for place, group in enumerate(groups):
        if not window.room:
            given_out += window.take(count)
        window.add(group, place)
        assert len(window) <= capacity
    while window:
        given_out += window.take(count)
    assert sorted(given_out) == list(range(len(groups)))


def test_the_window_stays_with_a_group_until_it_is_empty() -> None:
    window = Window[str](10)
    for name in "abcabbb":
        window.add(name, name)
    assert "".join(window.take(3)) == "bbb"
    window.add("b", "b")
    assert "".join(window.take(9)) == "bbaac"


def test_keys_are_of_batch_line_choice_and_generation() -> None:
    keys = {*keys_of("b", "a", (0, 0)), *keys_of("b", "a", (1, 1)), *keys_of("c", "a", (0,))}
    assert len(keys) == 5
    assert keys_of("b", "1/a", (0,)) != keys_of("b", "a", (1,))


def test_an_id_counts_once_and_is_known_from_the_outputs(tmp_path: Path) -> None:
    index = IdIndex(tmp_path / "ids")
    assert index.settle("done")
    assert not index.settle("done")
    assert index.settle(None, 4)
    assert (index.is_settled(4), index.is_settled(5)) == (True, False)
    assert (index.claim("done", 1), index.claim("new", 2), index.claim("new", 3)) == (0, None, 2)
    assert index.claim("done", 9) == 1
    assert index.settle("line 4"), "an id that reads like a line is another"
    index.close()
    assert not (tmp_path / "ids").exists()


def test_a_source_gives_what_is_not_done(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({**GOOD, "custom_id": name}) for name in ("a", "b", "a", "c")]
    path.write_text("\n".join(lines))
    index = IdIndex(tmp_path / "ids")
    index.settle("b")
    source = Source(path, index, BatchOptions(), survey(path))
    found = source.block(10)
    assert [(line.number, line.custom_id) for line in found] == [(1, "a"), (3, None), (4, "c")]
    assert (source.ended, source.lines) == (True, 4)
    assert [isinstance(line, Line) for line in found] == [True, False, True]
    assert survey(path).lines == 4
    source.close()
    index.close()


@pytest.mark.parametrize("torn", [b"", b"{", b'{"custom_id":"b"' * 9000])
def test_a_torn_last_line_is_cut_and_the_rest_stands(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "out.jsonl"
    whole = bad_line("b", BadLine(number=1, custom_id="a", code="c", message="m"))
    path.write_bytes(whole + torn)
    file = LineFile(path)
    assert path.read_bytes() == whole + torn, "until it is known whose it is"
    file.cut_torn_line()
    assert path.read_bytes() == whole
    assert [written.custom_id for written in file.written()] == ["a"]
    with pytest.raises(BatchRunsAlreadyError):
        LineFile(path)
    file.close()
    path.write_bytes(b"{}\n")
    with pytest.raises(BrokenOutputError):
        list(LineFile(path).written())


@given(st.lists(st.floats(0, 9), max_size=30), st.floats(0, 9), st.integers(0, 30))
def test_what_is_sent_again_waits_for_its_time(times: list[float], now: float, most: int) -> None:
    line = read_line(RAW, 1)
    assert isinstance(line, Line)
    later = Later()
    for time in times:
        later.put(work_of(line).again(frozenset(), time))
    due = [work.not_before for work in later.due(now, most)]
    assert due == sorted(time for time in times if time <= now)[:most]
    assert len(later) == len(times) - len(due)
    assert later.soonest == min(sorted(times)[len(due) :], default=None)


def test_an_index_that_the_disk_does_not_take_is_told__g3(tmp_path: Path) -> None:
    (tmp_path / "ids").mkdir()
    with pytest.raises(OutputWriteError, match="ids"):
        IdIndex(tmp_path / "ids")


def test_a_name_that_no_manifest_can_tell_is_refused__g3(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").touch()
    with pytest.raises(BatchFilesError, match="no UTF-8"):
        batch_files(tmp_path / "in.jsonl", tmp_path / os.fsdecode(b"\xff.jsonl"))
