"""What a row computes: the same as PEFT, whatever shares its batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.lora_costs import Corners, LoraCosts
from lorayard_workers.engine.outcome import Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.memory.columns import Columns
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.slots import DeviceSlots

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's

PROMPTS = ("Hello", "The quick brown fox jumps over the lazy dog.", "x", "Sum: 1 2 3 4 5 6 7 8 9")


def same_cost(milliseconds: float) -> Corners:
    """Whatever the size."""
    costs = dict.fromkeys(("few_few", "few_many", "many_few", "many_many"), milliseconds)
    return Corners(tokens=(1, 2), columns=(1, 2), **costs)


class Bench:
    """A runner with every adapter resident, and PEFT over a second copy of the model."""

    def __init__(self, folder: Path, adapters: dict[str, Path]) -> None:
        self.base: BaseModel = load_base_model(folder, precision=Precision.FP32)
        self.slots = DeviceSlots(count=len(adapters), max_rank=16)
        size = RunnerSize(columns=self.slots.column_count, rows=16, row_tokens=256)
        self.runner = ModelRunner(self.base, size)
        self.runner.cache.clear(range(self.runner.cache.blocks + 1))
        self.columns: dict[str, Columns] = {}
        reader = AdapterReader(
            folders=adapters, layouts=self.runner.layouts, dtype=torch.float32, max_rank=16
        )
        for digest in adapters:
            packed = reader.read(digest)
            placed = self.slots.place(digest, packed.rank, 0.0)
            assert placed is not None
            self.runner.write_adapter(placed, packed)
            self.columns[digest] = placed
        self._peft: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._digests = list(adapters)
        for index, adapter in enumerate(adapters.values()):
            if index == 0:
                self._peft = PeftModel.from_pretrained(self._peft, str(adapter), adapter_name="0")
            else:
                self._peft.load_adapter(str(adapter), adapter_name=str(index))
        self._peft.eval()

    def peft_logits(self, digest: str | None, ids: list[int]) -> Tensor:
        """[tokens, vocabulary] from PEFT with one active adapter, or none."""
        if digest is None:
            with self._peft.disable_adapter():
                found = self._peft(torch.tensor([ids])).logits[0]
        else:
            self._peft.set_adapter(str(self._digests.index(digest)))
            found = self._peft(torch.tensor([ids])).logits[0]
        assert isinstance(found, Tensor)
        return found

    def blocks(self, row: int) -> list[int]:
        """Four blocks of each row, not side by side."""
        return [1 + row + 16 * i for i in range(4)]

    def piece(self, row: int, start: int, ids: list[int], digest: str | None) -> Piece:
        """A piece of a step that wants its logits."""
        columns = None if digest is None else self.columns[digest]
        place = Place(blocks=self.blocks(row), start=start, tokens=len(ids))
        return Piece(place=place, token_ids=ids, columns=columns, wants_logits=True)


@pytest.fixture(scope="module")
def bench(tiny_model: Path, tiny_adapters: dict[str, Path]) -> Bench:
    return Bench(tiny_model, tiny_adapters)


@pytest.fixture(autouse=True)
def _no_gradients() -> Any:  # a generator: pyright has no simpler honest type for a yield fixture here
    with torch.inference_mode():
        yield


def test_a_mixed_prefill_gives_every_row_pefts_logits__c5_c8(bench: Bench) -> None:
    digests = [None, *bench.columns, None]
    prompts = [bench.base.prompt_ids(PROMPTS[i % len(PROMPTS)]) for i in range(len(digests))]
    pieces = [bench.piece(i, 0, prompts[i], digest) for i, digest in enumerate(digests)]
    logits = bench.runner.forward(pieces)
    for i, digest in enumerate(digests):
        wanted = bench.peft_logits(digest, prompts[i])[-1]
        torch.testing.assert_close(logits[i], wanted, atol=1e-4, rtol=0)


def test_mixed_decode_and_chunks_give_every_row_pefts_logits__c5_c8_c11(bench: Bench) -> None:
    digests = [*bench.columns, None]
    ids = bench.base.prompt_ids(PROMPTS[1])
    cuts = [3 + i for i in range(len(digests))]
    bench.runner.forward([bench.piece(i, 0, ids[: cuts[i]], d) for i, d in enumerate(digests)])
    second = [
        bench.piece(i, cuts[i], ids[cuts[i] : cuts[i] + 1] if i % 2 else ids[cuts[i] :], d)
        for i, d in enumerate(digests)
    ]
    logits = bench.runner.forward(second)
    for i, digest in enumerate(digests):
        wanted = bench.peft_logits(digest, ids[: second[i].place.stop])[-1]
        torch.testing.assert_close(logits[i], wanted, atol=1e-4, rtol=0)


def test_every_form_of_the_product_gives_the_same_logits__c5(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = bench.base.prompt_ids(PROMPTS[0])
    digests = [*bench.columns, None]

    def decode() -> Tensor:
        bench.runner.forward([bench.piece(i, 0, ids, d) for i, d in enumerate(digests)])
        return bench.runner.forward([bench.piece(i, len(ids), [7], d) for i, d in enumerate(digests)])

    found: list[Tensor] = []
    for dense_ms, bundle_ms in ((0.0, 1.0), (1.0, 0.0)):  # dense always, bundles always
        costs = LoraCosts(dense=same_cost(dense_ms), bundle=same_cost(bundle_ms))
        monkeypatch.setattr(bench.runner, "lora_costs", costs)
        found.append(decode())
    assert not torch.equal(*found)  # they were two forms
    torch.testing.assert_close(*found, atol=1e-4, rtol=0)


def test_greedy_text_equals_pefts_greedy_tokens__c5_c8(bench: Bench, start_yard: Callable[..., Any]) -> None:
    digests = [None, *bench.columns]
    requests = [
        GenerationRequest(
            request_id=str(i), prompt=PROMPTS[1], adapter=d, sampling=Sampling(max_new_tokens=12)
        )
        for i, d in enumerate(digests)
    ]
    outcomes = start_yard().run(*requests)
    for i, digest in enumerate(digests):
        ids = prompt = bench.base.prompt_ids(PROMPTS[1])
        for _ in range(12):
            token = int(bench.peft_logits(digest, ids)[-1].argmax())
            ids = [*ids, token]
            if token in bench.base.eos_ids:
                break
        outcome = outcomes[str(i)]
        assert isinstance(outcome, Succeeded)
        wanted = bench.base.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
        assert outcome.text == wanted
        assert outcome.completion_tokens == len(ids) - len(prompt)


def test_a_poisoned_neighbour_does_not_reach_other_rows__c6(bench: Bench) -> None:
    """NaN in a neighbour's A, past every check, leaves the others' logits bit-identical."""
    first, second, *_ = bench.columns
    ids = bench.base.prompt_ids(PROMPTS[0])

    def decode() -> Tensor:
        pieces = [bench.piece(0, len(ids), [7], first), bench.piece(1, len(ids), [7], second)]
        return bench.runner.forward(pieces)

    bench.runner.forward([bench.piece(0, 0, ids, first), bench.piece(1, 0, ids, second)])
    before = decode()
    groups: Any = bench.runner
    tensors = [group._a for group in groups._groups]
    kept = [a[list(bench.columns[second])].clone() for a in tensors]
    for a in tensors:
        a[list(bench.columns[second])] = float("nan")
    try:
        after = decode()
    finally:
        for a, old in zip(tensors, kept, strict=True):
            a[list(bench.columns[second])] = old
        bench.runner.cache.clear(bench.blocks(1))
    assert torch.equal(before[0], after[0])
    assert not torch.isfinite(after[1]).all()
