"""A worker process that hangs ends itself, is started again, and takes no other job with it (G1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import start_up, wait_until

from lorayard_cli.exit_codes import ExitCode

pytestmark = pytest.mark.e2e

EVIL = "what the engine hangs on"


def test_a_hung_worker_is_started_again_and_the_job_that_hangs_all_is_given_up(tmp_path: Path) -> None:
    up = start_up(
        tmp_path,
        env={
            "LORAYARD_ECHO_HANGS_ON": EVIL,
            "LORAYARD_STALL_SECONDS": "0.5",
            "LORAYARD_MAX_INTERRUPTIONS": "2",
        },
    )
    try:
        first = up.pid("w1")
        evil = up.run("submit", "--wait", "--json", EVIL)
        assert evil.exit_code == ExitCode.FAILED
        assert "poison" in evil.out
        wait_until(lambda: up.pid("w1") not in (None, first), "another worker process")
        assert up.run("submit", "--wait", "fine").out == "fine\n"
        log = up.log.read_text()
        assert f"exit code {ExitCode.WORKER_SPENT}" in log
    finally:
        up.end()
