"""The parts reach only where they may, and the client loads no model code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "peft", "cyclopts", "nats.micro", "structlog", "rich")


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["lorayard", "lorayard_schemas", "lorayard_shared.bus.connection"])
def test_importing_a_light_part_loads_nothing_heavy(package: str) -> None:
    """Seconds and gigabytes, in services that only want to publish a job."""
    code = f"import sys, {package}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", ["lorayard_dispatcher.app", "lorayard_workers.app"])
def test_starting_a_process_without_a_model_loads_no_model_code(package: str) -> None:
    """An echo worker, and every dispatcher, is up in a moment."""
    code = f"import sys, {package}; print(*(n for n in ('torch', 'transformers') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
