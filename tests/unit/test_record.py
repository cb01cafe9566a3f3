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
