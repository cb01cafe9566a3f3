"""Loading and making a model writes nothing to stderr, where a worker's log goes, and imports little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOAD = "from lorayard_workers.base_model import load_base_model as work"
MAKE = "from lorayard_workers.tiny_model import make_tiny_model as work"
WORK = "import pathlib, sys\n{work}\nwork(pathlib.Path(sys.argv[1]))"

SPARED = ("peft", "scipy", "torch._inductor", "torch.distributed.tensor")

WHAT_IS_LOADED = f"""
import lorayard_workers.app, lorayard_workers.packed_equipment
print(*(name for name in {SPARED} if name in sys.modules))
"""

ON_DEMAND = """
import torch._dynamo, torch._dynamo.config
from transformers.masking_utils import TransformGetItemToIndex
print(torch._dynamo.config.__name__, type(TransformGetItemToIndex()).__name__, torch._dynamo.is_compiling())
print(torch.compiler.disable.__module__, type(sys.modules["torch._dynamo"]).__name__)
"""


def _ran(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_no_progress_bars_for_a_model_that_is_made(tmp_path: Path) -> None:
    _ran(WORK.format(work=MAKE), tmp_path)


def test_a_worker_imports_neither_compiler_nor_scipy_until_somebody_wants_them(tiny_model: Path) -> None:
    """One process for all three: loading is quiet, loads little, and what was left out is had on demand."""
    said = _ran(WORK.format(work=LOAD) + WHAT_IS_LOADED + ON_DEMAND, tiny_model)
    assert said.splitlines() == [
        "",
        "torch._dynamo.config TransformGetItemToIndex False",
        "torch.compiler module",
    ]
