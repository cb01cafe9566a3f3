"""Jobs of every kind while everything is hit: the short form of `make chaos`, and whether it can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.chaos.blows import Weapon
from benchmarks.chaos.mutations import MUTATIONS
from benchmarks.chaos.plan import read_plan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

JOBS = 600
SECONDS = 12
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("LORAYARD_")}


def run(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """What it ended with, and its ledger."""
    log = folder / "processes.log"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos.run", *options, f"--log={log}", f"--out={folder}", "--json"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def test_each_job_ends_once_as_its_kind_may_whatever_is_hit__e3__e4__g1__g2(
    tally: Callable[[str, int], None], tmp_path: Path
) -> None:
    """Retries, delays, cancels, deadlines, keys used twice, poison, streams and versions, by a fixed seed."""
    ended, ledger = run(tmp_path, f"--jobs={JOBS}", f"--seconds={SECONDS}", "--seed=3")
    assert not ledger["violations"], json.dumps(ledger, indent=2)
    assert ended == 0, (tmp_path / "processes.log").read_text()[-4000:]
    kinds = ledger["kinds"]
    assert sum(row["orders"] for kind, row in kinds.items() if kind != "probe") == JOBS
    ways = {name for row in kinds.values() for name in row}
    assert ways >= {"succeeded", "failed", "cancelled", "expired", "dead"}
    assert set(ledger["weapons"]) <= set(Weapon)
    assert sum(ledger["weapons"].values()) == len(read_plan(tmp_path / "seed-3-nodes-1.plan.json").blows)
    tally("jobs of the ledger", JOBS)
    tally("blows to processes, wires, disks and clocks under them", sum(ledger["weapons"].values()))


def test_a_lost_ack_a_second_result_and_a_swapped_answer_are_each_seen__e3__g1__g4(tmp_path: Path) -> None:
    """Put into the workers on purpose, in a yard that nothing else is done to."""
    quiet = ("--jobs=60", "--seconds=2", "--kinds=plain,slow,stream", "--weapons=", "--no-operator")
    ended, ledger = run(tmp_path, *quiet, f"--mutate={','.join(MUTATIONS)}")
    assert ended == 1
    told = " ".join(fault for violation in ledger["violations"] for fault in violation["faults"])
    assert "deliveries beyond the first, under 0 blows" in told, "the ack"
    assert "2 results are stored" in told
    assert "lies another job's result" in told
    assert ", wanted 'plain order-" in told, "the answers in each other's place"
