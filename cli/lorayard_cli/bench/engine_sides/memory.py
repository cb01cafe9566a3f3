"""What slots cost in memory. Exact: nothing is timed."""

from __future__ import annotations

import math
import tempfile
from itertools import cycle
from pathlib import Path

import torch

from lorayard_cli.bench.engine_report.figure import SlotMemory
from lorayard_workers.adapters.files import read_adapter
from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.runner import ModelRunner, RunnerSize
from lorayard_workers.memory.budget import column_count
from lorayard_workers.memory.slots import DeviceSlots, Room
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

_MIX = (8, 16, 64)


def measure_memory() -> SlotMemory:
    """An engine's default slots, filled by the mix. The ratio is the same for every model's shapes."""
    config = EngineConfig()
    columns = column_count(
        slot_bytes=config.slot_bytes, slots=config.slots, max_rank=config.max_rank, column_bytes=1
    )
    slots = DeviceSlots(count=config.slots, max_rank=config.max_rank, columns=columns)
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        base = load_base_model(make_tiny_model(Path(scratch) / "model"))
        size = RunnerSize(columns=slots.column_count, rows=1, row_tokens=64)
        reserved = ModelRunner(base, size).slot_bytes
        weights = residents = 0
        for seed, rank in enumerate(cycle(_MIX)):
            if not slots.free.holds(Room.of([rank])):
                break
            slots.place(str(seed), rank, 0.0)
            residents += 1
            weights += _weights(make_tiny_adapter(Path(scratch) / str(seed), seed=seed, rank=rank))
    return SlotMemory(
        slots=residents,
        max_rank=config.max_rank,
        reserved_bytes=reserved,
        occupied_bytes=reserved // slots.column_count * slots.columns_used,
        adapter_bytes=weights * torch.bfloat16.itemsize,
    )


def _weights(folder: Path) -> int:
    pairs = read_adapter(folder).pairs.values()
    return sum(math.prod(pair.a.shape) + math.prod(pair.b.shape) for pair in pairs)
