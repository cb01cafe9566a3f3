"""What hands and shells do to the command line: each ends in one line and a documented exit code."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

import lorayard_cli
from lorayard.summarize.output.sink import Lines
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.run import Placed
from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_cli.embedded.data_folder import DataFolderError
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import provide
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import explain
from lorayard_cli.output import note
from lorayard_cli.text_file import UnreadableFileError, read_text


@pytest.mark.parametrize("url", ["", " ", "nats://", "http://foo", "127.0.0.1:99999", "nats://[::1", "x:y"])
def test_an_address_that_is_none_is_a_bad_setting(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lorayard_cli.run(["status", "--url", url, "--json"]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["field"] == "LORAYARD_URL"


@pytest.mark.parametrize("command", ["up", "dispatcher", "worker"])
def test_a_log_level_that_is_none_is_a_usage_error(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lorayard_cli.run([command, "--log-level", "loud"]) == ExitCode.USAGE
    assert "--log-level" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["-1", "nan"])
def test_a_time_limit_that_no_clock_shows_is_a_usage_error(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--wait", "--timeout", seconds]
    assert lorayard_cli.run(["submit", "hello", *given]) == ExitCode.USAGE
    assert lorayard_cli.run(["result", "some-job", *given]) == ExitCode.USAGE
    assert "--timeout" in capsys.readouterr().err


def test_a_benchmark_of_no_jobs_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert lorayard_cli.run(["bench", "bus", "--jobs", "0"]) == ExitCode.USAGE
    assert "--jobs" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="No such file"):
        read_text(tmp_path / "gone.txt")


def test_the_name_of_a_file_need_not_be_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(os.fsdecode(b"bad-\xff.txt"))
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8", errors="strict"))
    lorayard_cli.run(["--no-such-option"])  # whatever it does, it readies the streams
    record = DocumentRecord(path=str(path), name=path.name, error={"code": "unreadable", "message": "why"})
    Lines(sys.stdout).add(Placed(place=0, record=record))
    assert json.loads(raw.getvalue())["path"] == str(path)


def test_a_closed_standard_output_is_no_reason_to_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert lorayard_cli.run(["--no-such-option", "--json"]) == ExitCode.USAGE


def test_a_full_disk_is_named_and_not_called_unexpected() -> None:
    failure = explain(OSError(28, "No space left on device", "out.jsonl"))
    assert failure.message == "No space left on device: out.jsonl"
    assert failure.exit_code == ExitCode.FAILED


def test_a_data_folder_inside_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    plan = YardPlan(data=tmp_path / "file" / "yard", model="tiny", engine="echo")
    with pytest.raises(DataFolderError, match="file/yard"):
        provide(plan, progress=note)


def test_the_store_may_lie_in_a_folder_of_any_script(tmp_path: Path) -> None:
    folder = tmp_path / "Bücher 本 🦙"
    server = prepare_bus_server(folder)
    assert str(folder) in server.config.read_text(encoding="utf-8")


def test_an_interrupt_during_the_imports_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(lorayard_cli, "run", interrupted)
    with pytest.raises(SystemExit) as leaving:
        lorayard_cli.main()
    assert leaving.value.code == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"
