"""PEFT as its users run it: `adapter_names` for a mixed batch, or one adapter after the other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from lorayard_cli.bench.engine_report.costs import Cost, cost_of
from lorayard_cli.bench.engine_sides.device import settling
from lorayard_cli.bench.engine_sides.stock import (
    StockSide,
    decode_cost,
    decoding,
    lift_trap,
    load_stock,
    prefill_cost,
)
from lorayard_cli.bench.engine_sides.workload import ROWS, adapter_of_row

_EXTRA = "extra"


class PeftSide:
    """PEFT over a copy of the base model, with all adapters loaded."""

    def __init__(self, folder: Path, adapters: Sequence[Path], device: str = "cpu") -> None:
        self._spare = adapters[-1]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            self._model: Any = PeftModel.from_pretrained(
                load_stock(folder, device), str(adapters[0]), adapter_name="0", low_cpu_mem_usage=True
            )  # which leaves out random first values of weights that are read at once anyway
            for number, adapter in enumerate(adapters[1:], start=1):
                self._model.load_adapter(str(adapter), adapter_name=str(number), low_cpu_mem_usage=True)
        self._model.eval()
        lift_trap(self._model)  # PEFT has frozen the base again

    def mixed_prefill(self, adapters: int, prompts: Tensor) -> Cost:
        """All prompts [rows, tokens] in one forward, each with the name of its adapter."""
        names = [str(number) for number in adapter_of_row(adapters)]
        return prefill_cost(self._model, prompts, adapter_names=names)

    def one_prefill(self, prompts: Tensor, *, trapped: bool) -> Cost:
        """The first prompt with one adapter; trapped: with the frozen lm_head that PEFT leaves behind."""
        self._model.get_output_embeddings().weight.requires_grad_(not trapped)
        try:
            return prefill_cost(self._model, prompts[:1], adapter_names=["0"])
        finally:
            lift_trap(self._model)

    def mixed_decode(self, adapters: int, stock: StockSide) -> Cost:
        """All rows in one forward, each with the name of its adapter."""
        names = [str(number) for number in adapter_of_row(adapters)]
        return decode_cost(self._model, stock, adapter_names=names)

    def sequential_decode(self, adapters: int, stock: StockSide) -> Cost:
        """For each adapter `set_adapter` and one forward of its rows."""
        rows = [[r for r in range(ROWS) if adapter_of_row(adapters)[r] == n] for n in range(adapters)]
        forwards = [
            decoding(self._model, stock.next_ids[group], stock.cache(group), steps=1) for group in rows
        ]

        def work() -> None:
            for number, forward in enumerate(forwards):
                self._model.set_adapter(str(number))
                forward()

        with torch.inference_mode():
            return cost_of(work, settle=settling(self._model.device))

    def load(self) -> Cost:
        """One more adapter from disk; it leaves again."""
        found = cost_of(
            lambda: self._model.load_adapter(str(self._spare), adapter_name=_EXTRA),
            settle=settling(self._model.device),
        )
        self._model.delete_adapter(_EXTRA)
        return found
