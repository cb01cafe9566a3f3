"""The figures by which a step's form is chosen: measured once per machine, kept on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine import lora_measure
from lorayard_workers.engine.lora_costs import USUAL_COSTS, LoraCosts
from lorayard_workers.engine.runner import ModelRunner, RunnerSize


@pytest.fixture
def runner(tiny_model: Path) -> ModelRunner:
    base = load_base_model(tiny_model, precision=Precision.FP32)
    return ModelRunner(base, RunnerSize(columns=128, rows=2, row_tokens=64))


def measured(runner: ModelRunner, folder: Path) -> LoraCosts:
    runner.measure_lora_costs(folder)
    return runner.lora_costs


def test_costs_are_measured_once_and_then_read__c5(
    runner: ModelRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(runner, tmp_path / "costs")
    assert first is not USUAL_COSTS
    assert first.dense.many_many > 0
    with monkeypatch.context() as later:
        later.setattr(lora_measure, "measure_costs", None)  # must not be called
        assert measured(runner, tmp_path / "costs") == first


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b'{"dense": {"tokens": [1, 1]}}'])
def test_a_damaged_file_is_measured_anew_and_mended__g3(
    runner: ModelRunner, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(runner, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    again = measured(runner, tmp_path)
    assert again != USUAL_COSTS
    assert again.bundle.many_many > 0
    assert path.read_bytes() != content
    with monkeypatch.context() as later:
        later.setattr(lora_measure, "measure_costs", None)  # must not be called
        assert measured(runner, tmp_path) == again
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_cannot_be_written_does_no_harm__g3(runner: ModelRunner, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert measured(runner, blocked / "costs").bundle.many_many > 0


def test_other_sizes_are_other_machines__c5(runner: ModelRunner, tiny_model: Path, tmp_path: Path) -> None:
    measured(runner, tmp_path)
    base = load_base_model(tiny_model, precision=Precision.FP32)
    measured(ModelRunner(base, RunnerSize(columns=64, rows=2, row_tokens=64)), tmp_path)
    small = ModelRunner(
        load_base_model(tiny_model, precision=Precision.FP32), RunnerSize(columns=16, rows=2, row_tokens=64)
    )
    assert measured(small, tmp_path) == USUAL_COSTS  # too few columns to tell a slope
    assert len([*tmp_path.iterdir()]) == 3
