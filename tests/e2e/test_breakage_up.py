"""`lorayard up` that is ended, or started, where nobody would think of it."""

from __future__ import annotations

import fcntl
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, command, interrupt, start_up, wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_model_is_not_made_ready_for_a_yard_that_was_ended(tmp_path: Path, number: signal.Signals) -> None:
    models = tmp_path / "models"
    models.mkdir()
    with (models / ".tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # so that it has to wait, for ever
        up = subprocess.Popen(
            command("up", "--model", "tiny", "--port", "0"),
            cwd=tmp_path,
            env={**CLEAN_ENVIRONMENT, "LORAYARD_MODELS_DIR": str(models)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            seen: list[psutil.Process] = []  # one look: a list of processes is not the same twice

            def look() -> bool:
                seen.extend(_preparing(up.pid))
                return bool(seen)

            wait_until(look, "the model is being made ready")
            preparing = seen[0]
            up.send_signal(number)
            up.wait()
            wait_until(lambda: not _runs(preparing), "the process that makes it ready is gone")
        finally:
            up.kill()
            up.wait()


def _preparing(up: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(up).children() if "prepare" in child.cmdline()]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_yard_starts_in_a_folder_of_any_script(tmp_path: Path) -> None:
    folder = tmp_path / "Bücher 本 🦙"
    folder.mkdir()
    up = start_up(folder)
    try:
        done = up.run("submit", "hello", "--wait", "--json")
        assert done.document["state"] == "succeeded"
        assert interrupt(up) == 0
    finally:
        up.end()
