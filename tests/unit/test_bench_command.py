"""What `lorayard bench engine` hands on: nothing is measured here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lorayard_cli
from lorayard_cli.bench.engine_sides.plan import FULL, QUICK, BenchPlan
from lorayard_cli.bench.engine_sides.vllm_side import find_vllm
from lorayard_cli.exit_codes import ExitCode


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ((), BenchPlan(sizes=FULL)),
        (("--quick",), BenchPlan(sizes=QUICK)),
        (
            ("--device", "cuda", "--model", "random-1b"),
            BenchPlan(sizes=FULL, device="cuda", model="random-1b"),
        ),
        (("--vllm", "/opt/python"), BenchPlan(sizes=FULL, vllm_python=Path("/opt/python"))),
    ],
)
def test_the_command_hands_on_its_options_and_exit_code(
    arguments: tuple[str, ...], plan: BenchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no .venv-vllm there
    asked: list[tuple[BenchPlan, bool]] = []

    def run(plan: BenchPlan, *, as_json: bool) -> int:
        asked.append((plan, as_json))
        return ExitCode.FAILED

    fake: Any = ModuleType("lorayard_cli.bench.engine")  # the real one loads torch, transformers and peft
    fake.run = run
    monkeypatch.setitem(sys.modules, "lorayard_cli.bench.engine", fake)
    assert lorayard_cli.run(["bench", "engine", "--json", *arguments]) == ExitCode.FAILED
    assert asked == [(plan, True)]


def test_an_environment_for_vllm_in_the_working_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_vllm(None) is None
    (tmp_path / ".venv-vllm/bin").mkdir(parents=True)
    (tmp_path / ".venv-vllm/bin/python").touch()
    assert find_vllm(None) == tmp_path / ".venv-vllm/bin/python"
    assert find_vllm(Path("other")) == Path("other")
