"""Stock transformers: the base model's own forward, and the caches that PEFT's steps start from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lorayard_cli.bench.engine_report.costs import Cost, cost_of
from lorayard_cli.bench.engine_sides.device import settling
from lorayard_cli.bench.engine_sides.workload import prompts
from lorayard_workers.base_model import load_model


def load_stock(folder: Path, device: str = "cpu") -> Any:
    """transformers' model in bf16 without the trap of a frozen lm_head.

    On CPU torch's matmul does not fold a strided slice against a frozen weight, but copies the weight for
    each row (torch 2.13). Marked as trainable it folds. Under inference mode nothing else changes.
    """
    model = load_model(folder, torch.bfloat16).to(device)
    lift_trap(model)
    return model


def lift_trap(model: Any) -> None:
    """See `load_stock`."""
    model.get_output_embeddings().weight.requires_grad_(True)


class StockSide:
    """The denominator of most rows."""

    def __init__(self, folder: Path, device: str, *, prompt_tokens: int, decode_steps: int) -> None:
        """`decode_steps` are taken together, on every side that starts from this one's cache."""
        self.decode_steps = decode_steps
        self._model = load_stock(folder, device)
        self._ids = torch.tensor(prompts(int(self._model.config.vocab_size), prompt_tokens), device=device)
        self._cache: Any = None

    @property
    def parameters(self) -> int:
        """Of the model; tied weights count once."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def model(self) -> Any:
        """transformers' own."""
        return self._model

    @property
    def prompts(self) -> Tensor:
        """[rows, tokens]."""
        return self._ids

    @property
    def next_ids(self) -> Tensor:
        """[rows, 1]: what every decode step is given; which tokens they are costs nothing."""
        return self._ids[:, :1]

    def prefill(self) -> Cost:
        """All prompts in one forward, logits of the last tokens; keeps the cache."""

        def work() -> None:
            found = self._model(input_ids=self._ids, use_cache=True, logits_to_keep=1)
            self._cache = found.past_key_values

        with torch.inference_mode():
            return cost_of(work, settle=settling(self._model.device))

    def cache(self, rows: Sequence[int] | None = None) -> Any:
        """A copy of the cache after the prompts, of these rows or all."""
        found = copy.deepcopy(self._cache)
        if rows is not None:
            found.batch_select_indices(torch.tensor(rows, device=self._ids.device))
        return found

    def decode(self) -> Cost:
        """One forward for one more token of every row."""
        return decode_cost(self._model, self)


def prefill_cost(model: Any, ids: Tensor, **settings: Any) -> Cost:
    """Of one forward over prompts [rows, tokens], logits of the last tokens."""
    with torch.inference_mode():
        return cost_of(
            lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1, **settings),
            settle=settling(ids.device),
        )


def decode_cost(model: Any, stock: StockSide, **settings: Any) -> Cost:
    """Of one step of all rows, from a copy of the stock side's cache."""
    ids, steps = stock.next_ids, stock.decode_steps
    work = decoding(model, ids, stock.cache(), steps, **settings)
    with torch.inference_mode():
        return cost_of(work, steps=steps, settle=settling(ids.device))


def decoding(model: Any, ids: Tensor, cache: Any, steps: int, **settings: Any) -> Callable[[], None]:
    """The work of so many steps."""

    def work() -> None:
        for _ in range(steps):
            model(input_ids=ids, past_key_values=cache, use_cache=True, **settings)

    return work
