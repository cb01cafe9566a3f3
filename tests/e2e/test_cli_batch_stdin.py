"""`lorayard batch run -`: lines from a pipe are kept, so that a batch of them can be gone on with (E6)."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, Up, command, wait_until

from lorayard_cli.exit_codes import ExitCode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def _lines(*names: str) -> str:
    body = {"model": "base", "prompt": "Hello", "max_tokens": 4}
    asked = ({"custom_id": name, "method": "POST", "url": "/v1/completions", "body": body} for name in names)
    return "".join(json.dumps(one) + "\n" for one in asked)


def _ids(path: Path) -> list[str]:
    return sorted(json.loads(line)["custom_id"] for line in path.read_text().splitlines())


def test_lines_from_a_pipe_are_answered_and_the_batch_can_be_gone_on_with__e6(up: Up, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ("batch", "run", "-", "--output", str(out))
    ran = up.run(*arguments, stdin=_lines("a", "b"))
    assert ran.exit_code == ExitCode.OK, ran.err
    assert _ids(out) == ["a", "b"]
    # What was kept is what a run goes on with; other lines are another batch.
    assert up.run(*arguments, stdin=_lines("x")).exit_code == ExitCode.BAD_INPUT
    assert up.run(*arguments, "--resume", stdin=_lines("x")).exit_code == ExitCode.BAD_INPUT
    assert up.run(*arguments, "--resume", stdin=_lines("a", "b")).exit_code == ExitCode.OK
    whole = out.read_bytes()
    out.write_bytes(whole[: whole.index(b"\n") + 1])
    assert up.run("batch", "resume", str(out)).exit_code == ExitCode.OK
    assert _ids(out) == ["a", "b"]
    assert up.run("batch", "status", str(out), "--json").document["age_seconds"] >= 0


def test_ctrl_c_ends_a_batch_whose_pipe_says_nothing__e6(up: Up, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    running = subprocess.Popen(
        command("batch", "run", "-", "--output", str(out)),
        cwd=up.folder,
        env=CLEAN_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        incoming = tmp_path / "out.jsonl.batch" / "stdin.jsonl.new"
        wait_until(incoming.exists, "it reads")
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    finally:
        running.kill()
        _, err = running.communicate()
    assert running.returncode == ExitCode.INTERRUPTED, err
    assert "Traceback" not in err
    assert up.run("batch", "run", "-", "--output", str(out), stdin=_lines("a")).exit_code == ExitCode.OK
    assert _ids(out) == ["a"]
