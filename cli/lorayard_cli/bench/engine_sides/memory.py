"""What slots cost in memory. Exact: nothing is timed."""

from __future__ import annotations

import math
import tempfile
from itertools import cycle, islice
from pathlib import Path

import torch

from lorayard_cli.bench.engine_report.rows import SlotMemory
from lorayard_workers.adapters.files import read_adapter
from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.runner import ModelRunner, RunnerSize
from lorayard_workers.memory.slots import DeviceSlots
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

_MIX = (8, 16, 64)


def measure_memory() -> SlotMemory:
    """An engine's default slots, all taken by the mix. The ratio is the same for every model's shapes."""
    config = EngineConfig()
    slots = DeviceSlots(count=config.slots, max_rank=config.max_rank)
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        base = load_base_model(make_tiny_model(Path(scratch) / "model"))
        size = RunnerSize(columns=slots.column_count, rows=1, row_tokens=64)
        reserved = ModelRunner(base, size).slot_bytes
        weights = columns = 0
        for seed, rank in enumerate(islice(cycle(_MIX), config.slots)):
            columns += len(slots.place(str(seed), rank, 0.0) or ())
            weights += _weights(make_tiny_adapter(Path(scratch) / str(seed), seed=seed, rank=rank))
    return SlotMemory(
        slots=config.slots,
        max_rank=config.max_rank,
        reserved_bytes=reserved,
        occupied_bytes=reserved // slots.column_count * columns,
        adapter_bytes=weights * torch.bfloat16.itemsize,
    )


def _weights(folder: Path) -> int:
    pairs = read_adapter(folder).pairs.values()
    return sum(math.prod(pair.a.shape) + math.prod(pair.b.shape) for pair in pairs)
