"""One yard per folder, and what it says about itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorayard_cli.embedded.data_folder import (
    DataFolderError,
    YardRunsAlreadyError,
    YardState,
    forget_state,
    locked,
    running_yard,
    write_state,
)

STATE = YardState(
    url="nats://127.0.0.1:1", prefix="yard", pid=1, model="tiny", engine="echo", children={"w1": 2}
)


def test_a_second_yard_on_the_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(YardRunsAlreadyError) as refused, locked(tmp_path):
        pass
    assert refused.value.pid == os.getpid()


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_pid_left_by_a_killed_yard_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("12345", encoding="utf-8")
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text(encoding="utf-8") == str(os.getpid())


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataFolderError, match="file"), locked(tmp_path / "file"):
        pass


def test_a_running_yard_is_found(tmp_path: Path) -> None:
    with locked(tmp_path):
        write_state(tmp_path, STATE)
        assert running_yard(tmp_path) == STATE


def test_a_state_left_by_a_killed_yard_does_not_count(tmp_path: Path) -> None:
    with locked(tmp_path):
        write_state(tmp_path, STATE)
    assert running_yard(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1}', "\x00"])
def test_a_broken_state_file_is_as_none(tmp_path: Path, content: str) -> None:
    with locked(tmp_path):
        (tmp_path / "yard.json").write_text(content, encoding="utf-8")
        assert running_yard(tmp_path) is None


def test_a_stopped_yard_leaves_no_state(tmp_path: Path) -> None:
    with locked(tmp_path):
        write_state(tmp_path, STATE)
        forget_state(tmp_path)
        assert running_yard(tmp_path) is None
