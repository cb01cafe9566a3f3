"""The parts reach only where they may, and the client loads no model code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "peft", "cyclopts", "nats.micro", "structlog", "rich")


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


LIGHT = ("lorayard_schemas", "lorayard_shared.bus.connection", "lorayard")
WITHOUT_MODEL = ("lorayard_dispatcher.app", "lorayard_workers.app")


@pytest.mark.parametrize(
    ("packages", "heavy"),
    [
        # Seconds and gigabytes, in services that only want to publish a job.
        pytest.param(LIGHT, HEAVY, id="light parts"),
        # An echo worker, and every dispatcher, is up in a moment.
        pytest.param(WITHOUT_MODEL, ("torch", "transformers"), id="processes without a model"),
    ],
)
def test_importing_what_needs_no_model_loads_nothing_heavy(
    packages: Sequence[str], heavy: Sequence[str]
) -> None:
    """One process for all of them: what none has loaded by the end, none has loaded at all."""
    code = f"""
import importlib, sys
for package in {packages}:
    importlib.import_module(package)
    print(*(f"{{package}} loads {{name}}" for name in {heavy} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
