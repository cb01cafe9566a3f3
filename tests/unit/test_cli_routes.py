"""Files of rules that `lorayard routes set` refuses before it asks the bus."""

from __future__ import annotations

from pathlib import Path

import pytest

import lorayard_cli
from lorayard_cli.exit_codes import ExitCode

NOBODY = ("--url", "nats://127.0.0.1:1")


def test_a_file_that_is_not_there_is_bad_input_as_a_folder_that_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.toml")
    assert lorayard_cli.run(["routes", "set", missing, *NOBODY]) == ExitCode.BAD_INPUT
    assert f"{missing}: it cannot be read (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "# later\n", 'order = ["explicit", "session", "tenant", "task", "metadata", "default"]\n']
)
def test_a_file_without_rules_takes_none_away_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    assert lorayard_cli.run(["routes", "set", str(file), *NOBODY]) == ExitCode.BAD_INPUT
    assert "there is no [[rule]] in it" in capsys.readouterr().err
