"""Deterministic mode: a row's logits are the same bits in any company (C6)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from torch import Tensor

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.core import EngineCore
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.residency import Residency
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.steady_check import Products

Seen = dict[str, list[bytes]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Every row's logits as bytes, in the order of its tokens."""
    found: Seen = {}
    core: Any = EngineCore
    choose = core._choose

    def note(self: EngineCore, rows: list[Row], logits: Tensor) -> Any:
        for row, values in zip(rows, logits, strict=True):
            found.setdefault(row.request.request_id, []).append(values.float().numpy().tobytes())
        return choose(self, rows, logits)

    monkeypatch.setattr(core, "_choose", note)
    return found


def run(
    model: Path, adapters: dict[str, Path], waves: Sequence[Sequence[GenerationRequest]], **settings: Any
) -> Residency:
    """Waves one after another, the requests of each together."""
    sizes: dict[str, Any] = {"slots": 8, "max_rank": 16, "rows": 6, "context_tokens": 256}
    config = EngineConfig(device="cpu", deterministic=True, **(sizes | settings))
    engine = PackedEngine(model, adapters, config)
    engine.start()
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    try:
        for wave in waves:
            for request in wave:
                engine.submit(request, outcomes.put)
            ended = [outcomes.get(timeout=60) for _ in wave]
            assert all(isinstance(outcome, Succeeded) for outcome in ended), ended
        return engine.residency()
    finally:
        engine.stop()
        engine.check()


@pytest.mark.parametrize(
    ("precision", "apart"),
    [
        (Precision.FP32, None),
        (Precision.BF16, None),
        (Precision.BF16, "are_steady"),
        (Precision.BF16, "lora_is_steady"),
    ],
    ids=["fp32", "bf16", "bf16, nothing shared", "bf16, LoRA not shared"],
)
def test_logits_are_the_same_bits_in_any_company_bleed__c6(
    tiny_model: Path,
    tiny_adapters: dict[str, Path],
    seen: Seen,
    precision: Precision,
    apart: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Alone; in a crowd with loads under way; with few slots, other chunks and rows that are pushed out."""
    if apart is not None:
        monkeypatch.setattr(Products, apart, _never)
    draw = random.Random(5)
    keys = [None, *tiny_adapters]
    requests = [
        GenerationRequest(
            request_id=str(i),
            prompt="word " * draw.choice([1, 8, 20]) + str(i),
            adapter=draw.choice(keys),
            sampling=Sampling(max_new_tokens=draw.choice([3, 90, 120])),
        )
        for i in range(10)
    ]
    run(
        tiny_model,
        tiny_adapters,
        [[request] for request in requests],
        precision=precision,
        prefix_reuse=False,
    )
    alone = dict(seen)
    seen.clear()
    run(tiny_model, tiny_adapters, [requests], precision=precision)
    assert seen == alone
    seen.clear()
    # Rows enter without a reserve: some must give way, whatever the order in which adapters arrive.
    monkeypatch.setattr("lorayard_workers.engine.cache_room.CacheRoom._may_grow", _never)
    mixed = draw.sample(requests, len(requests))
    token_bytes = 4 * 2 * 2 * 32 * precision.dtype.itemsize
    residency = run(
        tiny_model,
        tiny_adapters,
        [mixed],
        precision=precision,
        slots=2,
        prefill_tokens=70,
        kv_bytes=6 * 64 * token_bytes,
    )
    assert residency.preemptions > 0
    assert seen == alone


def _never(*_: object) -> bool:
    return False


def test_no_row_takes_blocks_of_a_prompt_for_its_answer__c6(tiny_model: Path, seen: Seen) -> None:
    """The next turn of a chat holds an answer, rounded as a prompt is; then the answer's row returns."""
    first = Asked(tiny_model)
    row = first.submit("A", tokens=400)
    first.run()
    alone, ids = seen.pop("A"), row.prompt_ids + row.output_ids
    crowded = Asked(tiny_model, kv_bytes=11 * 64 * 4 * 2 * 2 * 32 * 4)
    crowded.submit("B", ids=ids[:195], tokens=250)
    crowded.step()
    again = crowded.submit("A", tokens=400)
    crowded.run()
    assert crowded.core.snapshot.preemptions > 0
    assert again.prompt_ids + again.output_ids == ids
    assert seen["A"] == alone


class Asked:
    """An engine whose thread does not run: the test steps it."""

    def __init__(self, model: Path, **settings: Any) -> None:
        config = EngineConfig(
            device="cpu",
            deterministic=True,
            precision=Precision.FP32,
            slots=2,
            rows=6,
            context_tokens=512,
            **settings,
        )
        self._engine: Any = PackedEngine(model, {}, config)
        self.core: EngineCore = self._engine._core

    def submit(self, name: str, *, tokens: int, ids: Sequence[int] | None = None) -> Row:
        """`ids`: instead of the prompt's own."""
        sampling = Sampling(max_new_tokens=tokens, ignore_eos=True)
        row = Row(
            request=GenerationRequest(request_id=name, prompt="x" * 60, sampling=sampling), sink=_unheard
        )
        self._engine._prepare(row)
        row.prompt_ids = list(ids or row.prompt_ids)
        self._engine._take_inbox(wait_seconds=0.0)
        return row

    def step(self) -> bool:
        with torch.inference_mode():
            return self.core.step()

    def run(self) -> None:
        while self.step():
            pass
        self._engine.check()


def _unheard(_outcome: Outcome) -> None:
    """The logits tell."""
