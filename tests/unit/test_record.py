"""A benchmark that fails leaves the last result as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from benchmarks import record

GOOD = '{"bench": "bus", "jobs": 1}'


@pytest.mark.parametrize(
    ("printed", "exit_code", "kept"),
    [
        (GOOD, 0, False),
        (GOOD, 1, False),
        ("", 1, True),
        ('{"error": {"code": "no_bus"}}', 3, True),
        ("Traceback", 0, True),
    ],
    ids=["held", "missed its threshold", "nothing", "an error", "no JSON"],
)
def test_what_is_recorded(
    printed: str, exit_code: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], exit_code, stdout=printed)

    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    (tmp_path / "bus.json").write_text("the last one")
    assert record.main() == max(exit_code, int(kept))
    assert ((tmp_path / "bus.json").read_text() == "the last one") is kept


def test_only_what_is_named_is_run_and_a_wrong_name_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **__: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess([], 0, stdout=GOOD)

    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    assert record.main(["engine-gpu-7b", "engines"]) == 2
    assert record.main(["engine-gpu-7b"]) == 0
    assert [command[-1] for command in commands] == ["random-7b"]
    assert [path.name for path in tmp_path.iterdir()] == ["engine-gpu-7b.json"]
