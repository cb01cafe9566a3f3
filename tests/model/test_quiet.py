"""Loading and making a model writes nothing to stderr: that is where a worker's log goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOAD = "from lorayard_workers.base_model import load_base_model as work"
MAKE = "from lorayard_workers.tiny_model import make_tiny_model as work"


@pytest.mark.parametrize("work", [LOAD, MAKE])
def test_no_progress_bars(tiny_model: Path, tmp_path: Path, work: str) -> None:
    folder = tiny_model if work == LOAD else tmp_path
    script = f"import pathlib, sys\n{work}\nwork(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
