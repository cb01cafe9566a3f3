"""Jobs of every kind while every process is killed or stands still: the short form of `make ledger`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

JOBS = 1500
SECONDS = 20
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("LORAYARD_")}


def test_each_job_ends_once_as_its_kind_may_whoever_is_killed__e3__e4__g1(
    tally: Callable[[str, int], None], tmp_path: Path
) -> None:
    """Retries, delays, cancels, deadlines, keys used twice, poison and streams, by a fixed seed."""
    log = tmp_path / "processes.log"
    options = (f"--jobs={JOBS}", f"--seconds={SECONDS}", f"--log={log}", "--json")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.ledger.run", *options],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout, ran.stderr
    ledger = json.loads(ran.stdout)
    assert not ledger["violations"], json.dumps(ledger, indent=2)
    assert ran.returncode == 0, (ran.stderr, log.read_text()[-4000:])
    kinds = ledger["kinds"]
    assert sum(row["orders"] for row in kinds.values()) == JOBS
    assert {name for row in kinds.values() for name in row} >= {
        "succeeded",
        "failed",
        "cancelled",
        "expired",
        "dead",
    }
    assert {name.split()[0] for name in ledger["blows"]} == {
        "bus",
        "client",
        "dispatcher",
        "dispatcher-2",
        "w1",
        "w2",
        "w3",
    }
    tally("jobs of the ledger", JOBS)
    tally("signals to processes under them", sum(ledger["blows"].values()))
