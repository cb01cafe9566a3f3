"""One `lorayard up` with a tiny real model for the whole tour."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorayard_workers.model_store import TINY, resolve_model

START_SECONDS = 120.0


@pytest.fixture(scope="session")
def yard_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tour")
    resolve_model(TINY, folder / "models")  # here torch is imported already
    log = (folder / "up.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "lorayard_cli", "up", "--model=tiny", "--port=0", "--workers=1", "--slots=2"],
        cwd=folder,
        env={**os.environ, "LORAYARD_MODELS_DIR": str(folder / "models"), "LORAYARD_DTYPE": "fp32"},
        stdout=log,
        stderr=log,
    )
    try:
        yield _url_once_ready(process, folder)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=45)
        finally:
            process.kill()
            process.wait()
            log.close()


def _url_once_ready(process: subprocess.Popen[bytes], folder: Path) -> str:
    until = time.monotonic() + START_SECONDS
    state = folder / ".lorayard" / "yard.json"
    while time.monotonic() < until:
        assert process.poll() is None, (folder / "up.log").read_text()
        if state.exists():
            document: dict[str, Any] = json.loads(state.read_text())
            if document.get("ready"):
                return str(document["url"])
        time.sleep(0.05)
    pytest.fail((folder / "up.log").read_text())
