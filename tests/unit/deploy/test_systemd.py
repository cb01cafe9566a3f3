"""The systemd units run commands and settings that there are (F5)."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.deploy.conftest import DEPLOY, SETTINGS, check_environment, parse_command

from lorayard_cli.exit_codes import NO_USE_IN_RESTARTING

FOLDER = DEPLOY / "systemd"
OURS = {part: next(FOLDER.glob(f"lorayard-{part}*.service")) for part in SETTINGS}
ANALYZE = shutil.which("systemd-analyze")
DRAINS = {"worker": "drain_seconds", "gateway": "gateway_drain_seconds"}


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


def environment(unit: Path) -> dict[str, str]:
    """With the shared file, as worker 1 of a machine called `rack7`."""
    lines = [line for line in (FOLDER / "yard.env").read_text().splitlines() if not line.startswith("#")]
    words = [*lines, *(word for value in values(unit, "Environment") for word in shlex.split(value))]
    filled = [word.replace("%l", "rack7").replace("%i", "1") for word in words]
    return dict(word.split("=", 1) for word in filled if word)


@pytest.mark.parametrize("part", SETTINGS)
def test_a_unit_runs_its_command_with_its_settings(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = values(OURS[part], "ExecStart")
    assert parse_command(shlex.split(line)) == part
    assert shlex.split(line)[1:] == [part, "--json"], "as the processes of compose.yaml, which run in a test"
    check_environment(part, environment(OURS[part]), monkeypatch)


def test_no_two_of_a_machine_want_one_port() -> None:
    ports = [environment(unit).get("LORAYARD_METRICS_PORT") for unit in OURS.values()]
    told = [port for port in ports if port is not None]
    assert len({*told}) == len(told) == len(SETTINGS)


@pytest.mark.parametrize("part", SETTINGS)
def test_a_unit_restarts_what_another_start_mends(part: str) -> None:
    (kept,) = values(OURS[part], "RestartPreventExitStatus")
    assert {int(code) for code in kept.split()} == NO_USE_IN_RESTARTING
    assert values(OURS[part], "Restart") == ["always"]


@pytest.mark.parametrize(("part", "field"), DRAINS.items())
def test_a_unit_gives_the_time_to_stop(part: str, field: str) -> None:
    (seconds,) = values(OURS[part], "TimeoutStopSec")
    assert int(seconds) >= SETTINGS[part].model_fields[field].default + 15


def test_what_is_written_lies_in_a_state_directory() -> None:
    for unit in OURS.values():
        granted = [f"/var/lib/{path}" for value in values(unit, "StateDirectory") for path in value.split()]
        granted = [path.replace("%i", "1") for path in granted]
        folders = [value for name, value in environment(unit).items() if name.endswith("_DIR")]
        assert all(any(Path(folder).is_relative_to(path) for path in granted) for folder in folders), unit


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With programs that are here in place of those that are not."""
    assert ANALYZE is not None
    for unit in FOLDER.glob("lorayard*"):
        text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    units = [str(unit) for unit in sorted(tmp_path.iterdir())]
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "lorayard" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
