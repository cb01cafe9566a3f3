"""Deterministic mode: a row's logits are the same bits wherever adapters lie and whoever else has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.engine.steady_check import Products
from lorayard_workers.memory.columns import Columns, Use, blend
from lorayard_workers.memory.layout import padded_rank
from lorayard_workers.memory.packing import HostAdapter, WideWeights
from lorayard_workers.memory.reader import AdapterReader

ROWS = 6
NEAR, FAR = tuple(range(16)), (*range(16, 24), *range(32, 40))
BEHIND = tuple(range(40, 56))


class Slots:
    """A runner whose columns a test fills as it likes."""

    def __init__(self, model: Path, adapters: dict[str, Path], precision: Precision) -> None:
        base = load_base_model(model, precision=precision)
        size = RunnerSize(columns=64, rows=ROWS, row_tokens=64, deterministic=True)
        self.runner = ModelRunner(base, size)
        self.vocabulary = int(base.model.config.vocab_size)
        self._dtype = precision.dtype
        self._reader = AdapterReader(
            folders=adapters, layouts=self.runner.layouts, dtype=precision.dtype, max_rank=16
        )

    def adapter(self, digest: str, *, wide: bool = False) -> HostAdapter:
        """With LoRA on embedding and head too, if `wide`."""
        found, width = self._reader.read(digest), self.runner.layouts[0].in_features
        seeded = torch.Generator().manual_seed(int(digest[-4:], 16))

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=seeded).to(self._dtype)

        head = WideWeights(role="head", a=draw(16, width), b=draw(16, self.vocabulary))
        embedding = WideWeights(role="embedding", a=draw(self.vocabulary, 16), b=draw(16, width))
        return replace(found, wide=(head, embedding)) if wide else found

    def logits(self, use: Use, *, others: Use | None = None, count: int = 1) -> list[bytes]:
        """Of the first row's prompt and of the tokens after it; `count` rows, the others with `others`."""
        found: list[bytes] = []
        uses = [use, *[others] * (count - 1)]
        for start, ids in ((0, [5, 7, 30, 9, 11]), (5, [40]), (6, [3])):
            pieces = [
                Piece(
                    place=Place(blocks=[1 + row], start=start, tokens=len(ids)),
                    token_ids=[(token + row) % self.vocabulary for token in ids],
                    columns=columns,
                    wants_logits=True,
                )
                for row, columns in enumerate(uses)
            ]
            found.append(self.runner.forward(pieces)[0].float().numpy().tobytes())
        return found


@pytest.fixture(params=["fp32", "bf16", "bf16, LoRA apart"])
def slots(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Path,
    tiny_adapters: dict[str, Path],
) -> Slots:
    if "apart" in request.param:
        monkeypatch.setattr(Products, "lora_is_steady", _never)
    return Slots(tiny_model, tiny_adapters, Precision(request.param[:4]))


def _never(_: object) -> bool:
    return False


def rank_16(adapters: dict[str, Path], slots: Slots, *, wide: bool = False) -> list[HostAdapter]:
    found = [slots.adapter(digest, wide=wide) for digest in adapters]
    return [adapter for adapter in found if padded_rank(adapter.rank) == 16]


@pytest.mark.parametrize("count", [1, ROWS])
def test_a_slot_in_pieces_gives_the_same_bits_as_a_whole_one__c6(
    slots: Slots, tiny_adapters: dict[str, Path], count: int
) -> None:
    adapter = rank_16(tiny_adapters, slots)[0]
    found: list[list[bytes]] = []
    with torch.inference_mode():
        for columns in (NEAR, FAR):
            slots.runner.write_adapter(columns, adapter)
            found.append(slots.logits(columns, others=columns, count=count))
            found.append(slots.logits(columns, others=None, count=count))
    assert found == [found[0]] * 4


@pytest.mark.parametrize("wide", [False, True], ids=["linears", "embedding and head"])
def test_a_sum_gives_the_same_bits_wherever_its_parts_lie__c6(
    slots: Slots, tiny_adapters: dict[str, Path], wide: bool
) -> None:
    one, two, three = rank_16(tiny_adapters, slots, wide=wide)
    found: list[list[bytes]] = []
    with torch.inference_mode():
        for places, order in (((NEAR, FAR, BEHIND), (0, 1, 2)), ((BEHIND, NEAR, FAR), (2, 0, 1))):
            parts: list[tuple[Columns, HostAdapter]] = list(zip(places, (one, two, three), strict=True))
            for i in order:
                slots.runner.write_adapter(*parts[i])
            use = blend(zip(places, (0.5, 1.7, -0.6), strict=True))
            found += [slots.logits(use, others=other, count=ROWS) for other in (None, use, places[1])]
    assert found == [found[0]] * 6


def test_lora_on_embedding_and_head_gives_the_same_bits_however_many_rows_use_it__c6(
    slots: Slots, tiny_adapters: dict[str, Path]
) -> None:
    adapter = rank_16(tiny_adapters, slots, wide=True)[0]
    with torch.inference_mode():
        slots.runner.write_adapter(NEAR, adapter)
        alone = slots.logits(NEAR)
        assert [slots.logits(NEAR, others=NEAR, count=count) for count in (2, 3, ROWS)] == [alone] * 3
        slots.runner.write_adapter(NEAR, replace(adapter, wide=()))
        assert slots.logits(NEAR) != alone
