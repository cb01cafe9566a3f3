"""One adapter folded into the weights: the same answers, and bit-exact base weights afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest
import torch
from peft import PeftModel
from tests.model.conftest import AfterSteps
from torch import Tensor
from transformers import AutoModelForCausalLM

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.int8_kernel import int8_is_exact
from lorayard_workers.engine.merging import Merged, merge
from lorayard_workers.engine.outcome import Outcome, Succeeded, Tier
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.equipment import equip
from lorayard_workers.errors import AdapterNotFoundError, BaseModelError
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's

COLUMNS = tuple(range(16))
WaitUntil = Callable[..., Awaitable[None]]


class Bench:
    """A runner, and adapters that are packed for it."""

    def __init__(self, folder: Path, adapters: dict[str, Path], **settings: Any) -> None:
        self.base: BaseModel = load_base_model(
            folder, **(dict[str, Any](precision=Precision.FP32) | settings)
        )
        self.runner = ModelRunner(self.base, RunnerSize(columns=16, rows=2, row_tokens=64))
        self.ids = self.base.prompt_ids("Sum: 1 2 3 4 5 6 7 8 9")
        dtype = self.base.model.dtype
        self._reader = AdapterReader(folders=adapters, layouts=self.runner.layouts, dtype=dtype, max_rank=16)

    def adapter(self, digest: str) -> HostAdapter:
        """Packed."""
        return self._reader.read(digest)

    def merge(self, adapter: HostAdapter) -> Merged:
        """Weights of the base model and the adapter together."""
        return merge(self.base, adapter, groups=self.runner.linears, files=self.runner.base_weights)

    def logits(self, columns: tuple[int, ...] | None = None) -> Tensor:
        """Of the last token, after a prefill and one step of decode."""
        tokens = len(self.ids) - 1
        with torch.inference_mode():
            self.runner.forward([self._piece(0, self.ids[:-1], columns)])
            return self.runner.forward([self._piece(tokens, self.ids[-1:], columns)])[0].clone()

    def merged_logits(self, digest: str) -> Tensor:
        """With the adapter in the weights, which then are the base model's again."""
        self.runner.wear(self.merge(self.adapter(digest)))
        try:
            return self.logits()
        finally:
            self.runner.wear(None)

    def slot_logits(self, digest: str) -> Tensor:
        """With the adapter beside the weights."""
        adapter = self.adapter(digest)
        columns = COLUMNS[: adapter.rank]
        self.runner.write_adapter(columns, adapter)
        return self.logits(columns)

    def weights_hash(self) -> str:
        """Of every weight that a step reads."""
        found = hashlib.sha256()
        groups: Any = self.runner
        kernels: list[Any] = [group.base._kernel for group in groups._groups]
        held = [cast("dict[str, object]", vars(kernel)).values() for kernel in kernels]
        tensors = [value for values in held for value in values if isinstance(value, Tensor)]
        for tensor in (*tensors, *self.base.model.state_dict().values()):
            plain = tensor.to_dense() if tensor.is_mkldnn else tensor
            found.update(plain.detach().contiguous().view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def _piece(self, start: int, ids: list[int], columns: tuple[int, ...] | None) -> Piece:
        place = Place(blocks=[1], start=start, tokens=len(ids))
        return Piece(place=place, token_ids=ids, columns=columns, wants_logits=True)


@pytest.fixture(scope="module")
def bench(tiny_model: Path, tiny_adapters: dict[str, Path]) -> Bench:
    return Bench(tiny_model, tiny_adapters)


def test_merged_logits_equal_the_slots_and_pefts_merge__c8_c10(
    bench: Bench, tiny_model: Path, tiny_adapters: dict[str, Path]
) -> None:
    base = bench.logits()
    for digest, folder in tiny_adapters.items():
        found = bench.merged_logits(digest)
        torch.testing.assert_close(found, bench.slot_logits(digest), atol=1e-4, rtol=0)
        model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        peft: Any = PeftModel.from_pretrained(model, str(folder)).eval()
        merged: Any = peft.merge_and_unload()
        with torch.inference_mode():
            wanted = merged(torch.tensor([bench.ids])).logits[0, -1]
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
        assert float((found - base).abs().max()) > 0.01


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": Precision.FP32},
        {"precision": Precision.BF16},
        pytest.param(
            {"precision": Precision.BF16, "quantization": BaseQuantization.INT8},
            marks=pytest.mark.skipif(not int8_is_exact(), reason="this CPU has no exact 8-bit dot products"),
        ),
    ],
)
def test_the_way_back_is_bit_exact__c10(
    tiny_model: Path, tiny_adapters: dict[str, Path], settings: dict[str, Any]
) -> None:
    bench = Bench(tiny_model, tiny_adapters, **settings)
    digest = list(tiny_adapters)[2]
    weights, logits, slot = bench.weights_hash(), bench.logits(), bench.slot_logits(digest)
    for _ in range(2):
        bench.runner.wear(bench.merge(bench.adapter(digest)))
        assert bench.weights_hash() != weights
        merged = bench.logits()
        assert float((merged - slot).abs().max()) < 0.5 * float((logits - slot).abs().max())
        bench.runner.wear(None)
        assert bench.weights_hash() == weights
        assert torch.equal(bench.logits(), logits)


def test_a_change_that_breaks_half_way_changes_nothing__c10(
    bench: Bench, tiny_adapters: dict[str, Path]
) -> None:
    weights, logits = bench.weights_hash(), bench.logits()
    found = bench.merge(bench.adapter(next(iter(tiny_adapters))))
    with pytest.raises(ValueError, match="zip"):
        bench.runner.wear(Merged(digest=found.digest, kernels=found.kernels[:-1]))
    assert bench.weights_hash() == weights
    assert torch.equal(bench.logits(), logits)


def test_a_merge_that_overflows_is_refused_naming_the_module__c10_g5(
    tiny_model: Path, tiny_adapters: dict[str, Path]
) -> None:
    bench = Bench(tiny_model, tiny_adapters, precision=Precision.BF16)
    adapter = bench.adapter(next(iter(tiny_adapters)))
    first = adapter.groups[0]
    assert first is not None
    first.a.fill_(1e25)
    first.b[0].fill_(1e25)
    with pytest.raises(AdapterRefusedError, match=r"overflow .*bfloat16") as caught:
        bench.merge(adapter)
    assert caught.value.module == bench.runner.layouts[0].members[0]


def test_files_that_changed_since_the_start_are_not_merged__c10(
    tmp_path: Path, tiny_adapters: dict[str, Path]
) -> None:
    folder = make_tiny_model(tmp_path / "model")
    bench = Bench(folder, tiny_adapters)
    adapter = bench.adapter(next(iter(tiny_adapters)))
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()  # the model in use still maps the old bytes
    weights.write_bytes(content)
    with pytest.raises(BaseModelError, match="changed since the engine started"):
        bench.merge(adapter)


async def test_a_dedicated_engine_answers_as_before_and_nothing_of_it_stays__c10_c11(
    start_yard: Callable[..., Any], wait_until: WaitUntil
) -> None:
    """The same prompt in both lives: what one has computed for it must not answer the other."""
    yard = start_yard()
    own = list(yard.adapters)[2]

    def ask(adapter: str | None) -> Succeeded:
        request = GenerationRequest(
            request_id="a",
            prompt="The same long prompt, in both lives, for whoever keeps what it computed.",
            adapter=adapter,
            sampling=Sampling(max_new_tokens=12),
        )
        found = yard.run(request)["a"]
        assert isinstance(found, Succeeded)
        return found

    before = {key: ask(key).text for key in (None, own)}
    assert before[None] != before[own]
    for _ in range(2):
        yard.engine.dedicate(own)
        await wait_until(lambda: yard.engine.residency().dedicated == own)
        merged = ask(own)
        assert (merged.text, merged.tier) == (before[own], Tier.MERGED)
        yard.engine.dedicate(None)
        assert {key: ask(key).text for key in (None, own)} == before


async def test_the_weights_never_change_under_a_row__c10(
    start_yard: Callable[..., Any], wait_until: WaitUntil, after_steps: AfterSteps
) -> None:
    """Rows of both kinds run while the merge is made, and end with the weights that they began with."""
    yard = start_yard(slots=2)
    own = list(yard.adapters)[2]
    long = Sampling(max_new_tokens=200, min_new_tokens=200)
    requests = [
        GenerationRequest(request_id=str(i), prompt="Once", adapter=key, sampling=long)
        for i, key in enumerate((None, own))
    ]
    before = {name: outcome.text for name, outcome in yard.run(*requests).items()}
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    running: list[int] = []

    def merge() -> None:
        running.append(yard.engine.residency().rows_running)
        yard.engine.dedicate(own)

    def split() -> None:
        running.append(yard.engine.residency().rows_running)
        yard.engine.dedicate(None)
        yard.engine.submit(requests[0], outcomes.put)

    after_steps(100, merge)
    for request in requests:
        yard.engine.submit(request, outcomes.put)
    found = [outcomes.get(timeout=30) for _ in requests]
    assert {o.request_id: getattr(o, "text", o) for o in found} == before
    await wait_until(lambda: yard.engine.residency().dedicated == own)
    after_steps(100, split)
    yard.engine.submit(requests[1], outcomes.put)
    found = [outcomes.get(timeout=30) for _ in requests]
    assert {o.request_id: getattr(o, "text", o) for o in found} == before
    assert running == [2, 1]


@pytest.mark.parametrize("engine", ["packed", "echo"])
@pytest.mark.parametrize("by_digest", [False, True])
async def test_a_worker_may_be_dedicated_from_its_start__b8_c10(
    tiny_model: Path, tmp_path: Path, wait_until: WaitUntil, engine: str, by_digest: bool
) -> None:
    for version in ("1", "2"):
        make_tiny_adapter(tmp_path / "acme/tiny/faq" / version, seed=int(version), rank=4)
    settings: dict[str, Any] = {
        "model": str(tiny_model),
        "adapters_dir": tmp_path,
        "rows": 2,
        "slots": 2,
        "threads": 1,
        "engine": engine,
    }
    entry = equip(WorkerSettings.model_validate(settings)).catalog.entries[1]
    name = entry.digest if by_digest else f"{entry.name}@{entry.version}"
    made = equip(WorkerSettings.model_validate(settings | {"dedicated": name})).engine
    made.start()
    try:
        await wait_until(lambda: made.residency().dedicated == entry.digest)
    finally:
        made.stop()
    with pytest.raises(AdapterNotFoundError, match="acme/tiny/faq@3"):
        equip(WorkerSettings.model_validate(settings | {"dedicated": "acme/tiny/faq@3"}))
