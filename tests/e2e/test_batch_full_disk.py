"""A disk that takes no more stops a batch with whole lines, and a resume asks nothing twice (E6, G2)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, Up

from lorayard_cli.exit_codes import ExitCode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

LINES = 120
ROOM_BYTES = 24 * 1024
"""Of each file: the index of ids takes less, the answers more than twice as much."""

# Behind a limit of file sizes every write fails as on a full disk, after as many bytes as there is room for.
LIMITED = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, ({ROOM_BYTES}, {ROOM_BYTES}))
runpy.run_module("lorayard_cli", run_name="__main__")
"""


def test_a_full_disk_stops_the_batch_with_whole_lines__e6__g2(up: Up, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    body = {"model": "base", "prompt": "Hello", "max_tokens": 4}
    names = [f"id-{number}" for number in range(LINES)]
    asked = ({"custom_id": name, "method": "POST", "url": "/v1/completions", "body": body} for name in names)
    source.write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    arguments = ("batch", "run", str(source), "--output", str(out), "--in-flight", "8")
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments],
        cwd=up.folder,
        env={**CLEAN_ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == ExitCode.FAILED, ran.stderr
    assert "cannot be written: File too large" in " ".join(ran.stderr.split())
    written = out.read_bytes()
    assert 0 < len(written) <= ROOM_BYTES
    assert written.endswith(b"\n")
    before = [json.loads(line)["custom_id"] for line in written.splitlines()]
    assert 0 < len(before) < LINES
    stopped = up.run("batch", "status", str(out), "--json").document
    assert (stopped["state"], stopped["now"]) == ("stopped", "stopped")
    assert "File too large" in stopped["trouble"]
    resumed = up.run("batch", "resume", str(out))
    assert resumed.exit_code == ExitCode.OK, resumed.err
    answered = Counter(json.loads(line)["custom_id"] for line in out.read_bytes().splitlines())
    assert answered == Counter(names)
    assert out.read_bytes().startswith(written)
