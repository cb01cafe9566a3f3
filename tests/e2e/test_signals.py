"""Signals that reach a process while it still starts."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, STOP_SECONDS, Up

pytestmark = pytest.mark.e2e

LOADING_WORKER = """
import asyncio, sys, time
from lorayard_workers.app import run_worker
from lorayard_workers.settings import WorkerSettings

def load(settings):
    print("loading", flush=True)
    time.sleep(600)

asyncio.run(run_worker(WorkerSettings(url=sys.argv[1], name="loading"), equip=load))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_loads_its_model_ends_at_a_signal_with_exit_code_0(
    up: Up, number: signal.Signals
) -> None:
    """A load cannot be interrupted, and nobody waits for it: there is nothing to hand back yet."""
    command = [sys.executable, "-c", LOADING_WORKER, up.state["url"]]
    with subprocess.Popen(command, env=CLEAN_ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "loading\n"
            process.send_signal(number)
            assert process.wait(timeout=STOP_SECONDS) == 0
        finally:
            process.kill()
