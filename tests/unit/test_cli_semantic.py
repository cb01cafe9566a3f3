"""What `lorayard routes train` and `routes eval` tell where there is nothing to be done."""

from __future__ import annotations

from pathlib import Path

import pytest

import lorayard_cli
from lorayard_cli.confusion import evaluation_lines
from lorayard_cli.exit_codes import ExitCode
from lorayard_shared.semantic.evaluation import Evaluation


def test_a_file_where_the_classifier_shall_be_written_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "taken"
    file.touch()
    given = ["routes", "train", "none.jsonl", "--out", str(file), "--url", "nats://127.0.0.1:1"]
    assert lorayard_cli.run(given) == ExitCode.USAGE
    assert f"{file} is a file: --out takes a folder" in capsys.readouterr().err


def test_prompts_that_were_all_learnt_give_a_sentence_and_no_empty_table() -> None:
    found = Evaluation(
        examples=0,
        decided=0,
        correct=0,
        abstained=0,
        rightly_abstained=0,
        calibration_error=None,
        confusion={},
        left_out=("a", "b"),
        unknown=(),
    )
    told = ["nothing to judge: all 2 prompts were learnt; give others"]
    assert list(evaluation_lines(found, 0.5)) == told
