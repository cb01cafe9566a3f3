"""polylora, a small runtime for batches of many adapters, where somebody has installed it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lorayard_cli.bench.engine_report.costs import Cost
from lorayard_cli.bench.engine_sides.stock import StockSide, decode_cost, load_stock
from lorayard_cli.bench.engine_sides.workload import RANK, adapter_of_row
from lorayard_workers.tiny_model import ALL_TARGETS


def has_polylora() -> bool:
    """Whether it can be imported."""
    return find_spec("polylora") is not None


class PolyloraSide:
    """It over a copy of the base model, with all adapters in its slots."""

    def __init__(self, folder: Path, adapters: Sequence[Path], device: str) -> None:
        polylora: Any = importlib.import_module("polylora")  # it ships no types
        config = polylora.PolyLoraConfig(
            max_gpu_adapters=len(adapters) + 1,  # its first slot is the base model's
            max_rank=RANK,
            target_modules=list(ALL_TARGETS),
        )
        self._model: Any = polylora.PolyLoraModel(load_stock(folder, device), config).eval()
        for number, adapter in enumerate(adapters):
            self._model.load_adapter_from_disk(str(number), str(adapter))

    def mixed_decode(self, adapters: int, stock: StockSide) -> Cost:
        """All rows in one forward, each with the name of its adapter."""
        names = [str(number) for number in adapter_of_row(adapters)]
        return decode_cost(self._model, stock, adapter_ids=names)
