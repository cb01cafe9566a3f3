"""The frame around every command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import lorayard_cli
from lorayard_cli.exit_codes import ExitCode


def test_the_version_needs_no_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert lorayard_cli.run(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out.strip() == lorayard_cli.installed_version()


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing_installed(_name: str) -> None:
        return None

    monkeypatch.setattr(lorayard_cli, "find_spec", nothing_installed)
    assert lorayard_cli.run(["status"]) == ExitCode.USAGE
    assert "pip install 'lorayard[cli]'" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error_in_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert lorayard_cli.run(["frobnicate", "--json"]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "usage"
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_a_bad_number_names_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert lorayard_cli.run(["worker", "--slots", "many"]) == ExitCode.USAGE
    assert "--slots" in capsys.readouterr().err


def test_a_bad_setting_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORAYARD_PREFIX", "No Good")
    assert lorayard_cli.run(["status", "--url", "nats://127.0.0.1:1"]) == ExitCode.USAGE
    assert "LORAYARD_PREFIX" in capsys.readouterr().err


def test_commands_load_no_model_library() -> None:
    """One process for all of them: what none has loaded by the end, none has loaded at all."""
    commands = ("adapters", "workers", "status", "submit", "result", "doctor", "up")
    code = f"""
import importlib, sys
for name in {commands}:
    importlib.import_module(f"lorayard_cli.commands.{{name}}")
    loaded = [heavy for heavy in ("torch", "transformers", "peft") if heavy in sys.modules]
    if loaded:
        sys.exit(f"{{name}} loads {{loaded}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
