"""Lines from a pipe are kept beside the output, and one run's are never another's (E6)."""

from __future__ import annotations

import fcntl
from io import FileIO
from pathlib import Path

import pytest

from lorayard.batch import BatchRunsAlreadyError, keep_stdin
from lorayard.batch.standard_input import INCOMING


def _kept(tmp_path: Path, lines: bytes) -> Path:
    (tmp_path / "pipe").write_bytes(lines)
    with FileIO(tmp_path / "pipe") as stream:
        return keep_stdin(stream, tmp_path / "out.jsonl", resume=False)


def test_a_second_run_for_the_same_output_takes_no_lines_from_the_first__g1(tmp_path: Path) -> None:
    """The first has read its lines, and tells of its batch a moment later only."""
    first = _kept(tmp_path, b"first\n")
    second = _kept(tmp_path, b"second\n")
    assert (first.read_bytes(), second.read_bytes()) == (b"first\n", b"second\n")
    assert _kept(tmp_path, b"first\n") == first


def test_lines_that_another_run_has_just_kept_are_not_written_over__g1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had the file open while this one opened it, and gave it its name before this one held it."""
    theirs = tmp_path / "theirs"
    lock = fcntl.flock

    def late(file: FileIO, how: int) -> None:
        incoming = tmp_path / "out.jsonl.batch" / INCOMING
        incoming.write_bytes(b"of the other\n")
        incoming.rename(theirs)
        lock(file, how)

    monkeypatch.setattr("lorayard.batch.standard_input.fcntl.flock", late)
    with pytest.raises(BatchRunsAlreadyError):
        _kept(tmp_path, b"mine\n")
    assert theirs.read_bytes() == b"of the other\n"
