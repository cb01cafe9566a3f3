"""Every kind of adapter that PEFT writes and we take computes what PEFT computes: alone, and among others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import (
    load_file,  # pyright: ignore[reportUnknownVariableType]  # os.PathLike without its parameter
    save_file,  # pyright: ignore[reportUnknownVariableType]
)
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.adapters.wide import WideRoom
from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.merging import merge
from lorayard_workers.engine.outcome import Failed, Succeeded
from lorayard_workers.engine.request import Composition, GenerationRequest, WeightedAdapter
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.errors import BaseModelError, CapacityError
from lorayard_workers.memory.columns import Columns
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.slots import DeviceSlots

Tally = Callable[[str, int], None]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),  # PEFT's
    pytest.mark.filterwarnings("ignore:(?s).*tensor.s. have invalid shape.*lora_B.bias"),  # PEFT's mistake
    pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed.*:UserWarning"),  # warns of merging
    pytest.mark.filterwarnings("ignore:(?s).*tie_word_embeddings=True.*:UserWarning"),  # warns of merging
]

KINDS: dict[str, dict[str, Any]] = {
    "attention": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "all-linear": {"target_modules": "all-linear"},
    "an expression": {"target_modules": r".*layers\.[12]\.(self_attn\.(q|o)|mlp\.up)_proj"},
    "some layers": {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [0, 2]},
    "one layer": {"target_modules": ["up_proj"], "layers_to_transform": 1, "layers_pattern": "layers"},
    "excluded": {"target_modules": ["q_proj", "up_proj"], "exclude_modules": ["model.layers.0.mlp.up_proj"]},
    "patterns": {
        "target_modules": ["q_proj", "v_proj"],
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.v_proj": 3},
    },
    "rank-stabilised": {"target_modules": ["v_proj"], "use_rslora": True},
    "magnitudes": {"target_modules": ["q_proj", "k_proj", "o_proj", "up_proj"], "use_dora": True},
    "magnitudes here and there": {
        "target_modules": ["v_proj", "down_proj"],
        "use_dora": True,
        "layers_to_transform": [1],
        "use_rslora": True,
    },
    "biases": {"target_modules": ["q_proj", "v_proj"], "lora_bias": True},
    "head": {"target_modules": ["lm_head"]},
    "embedding": {"target_modules": ["embed_tokens"]},
    "all with head and embedding": {
        "target_modules": ["q_proj", "gate_proj", "lm_head", "embed_tokens"],
        "rank_pattern": {"lm_head": 3, "embed_tokens": 2},
        "use_rslora": True,
    },
}
IDS = [(7 * i * i + 3) % 500 for i in range(24)]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False},
    "gemma3_text": {"head_dim": 16, "sliding_window": 16},  # tied weights, scaled embeddings
    "qwen2": {"tie_word_embeddings": False},  # biases
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    models: Any = AutoModelForCausalLM
    configs: Any = AutoConfig
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        model = models.from_config(configs.for_model(request.param, **SIZES, **MODELS[request.param]))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.data.normal_()
        model.save_pretrained(folder)
    for file in tiny_model.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def save_with_peft(
    model: Path, folder: Path, settings: dict[str, Any], seed: int, *, base_weights: bool = False
) -> Path:
    """What PEFT saves for an adapter of this kind, with random weights everywhere."""
    models: Any = AutoModelForCausalLM
    with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        config: Any = LoraConfig(r=4, lora_alpha=6, **settings)
        wrap: Any = get_peft_model  # untyped in PEFT
        peft: Any = wrap(models.from_pretrained(model, dtype=torch.float32), config)
        for name, parameter in cast("list[tuple[str, Tensor]]", list(peft.named_parameters())):
            if parameter.requires_grad:
                noise = torch.randn_like(parameter) * 0.3
                parameter.data = noise if "lora_" in name else parameter.data + noise
        peft.save_pretrained(folder, save_embedding_layers=base_weights)
    return folder


class Bench:
    """A runner that holds adapters of all kinds at once."""

    def __init__(self, model: Path, root: Path, kinds: dict[str, dict[str, Any]]) -> None:
        self.model = model
        self.base = load_base_model(model, precision=Precision.FP32)
        self.folders = {
            kind: save_with_peft(model, root / str(seed), settings, seed)
            for seed, (kind, settings) in enumerate(kinds.items())
        }
        self.slots = DeviceSlots(count=len(kinds), max_rank=8)
        size = RunnerSize(columns=self.slots.column_count, rows=len(kinds) + 2, row_tokens=64)
        self.runner = ModelRunner(self.base, size)
        self.runner.cache.clear(range(self.runner.cache.blocks + 1))
        self.columns = {kind: self.place(kind) for kind in kinds}
        self._wanted: dict[str | None, Tensor] = {}

    def reader(self, **changes: Any) -> AdapterReader:
        """Reads them by kind."""
        room = WideRoom(
            modules=self.runner.wide_modules,
            bytes_each=changes.pop("bytes_each", 1 << 20),
            base_folder=self.model,
        )
        return AdapterReader(
            folders={adapter_digest(read_adapter(folder)): folder for folder in self.folders.values()},
            layouts=self.runner.layouts,
            dtype=torch.float32,
            max_rank=8,
            wide=room,
            base=self.runner.base_weights,
        )

    def digest(self, kind: str) -> str:
        """Of an adapter."""
        return adapter_digest(read_adapter(self.folders[kind]))

    def place(self, kind: str) -> Columns:
        """Into a slot."""
        packed = self.reader().read(self.digest(kind))
        columns = self.slots.place(kind, packed.rank, 0.0)
        assert columns is not None
        self.runner.write_adapter(columns, packed)
        return columns

    def wanted(self, kind: str | None) -> Tensor:
        """PEFT's logits [tokens, vocabulary]."""
        if kind not in self._wanted:
            self._wanted[kind] = self._from_peft(kind)
        return self._wanted[kind]

    def _from_peft(self, kind: str | None) -> Tensor:
        models: Any = AutoModelForCausalLM
        model: Any = models.from_pretrained(self.model, dtype=torch.float32)
        if kind is not None:
            model = PeftModel.from_pretrained(model, str(self.folders[kind]))
        found: Tensor = model.eval()(torch.tensor([IDS])).logits[0]
        return found

    def found(self, kinds: list[str | None], start: int, stop: int) -> Tensor:
        """Our logits [kinds, vocabulary] of the last token of each, in one step."""
        return self.runner.forward([self._piece(row, kind, start, stop) for row, kind in enumerate(kinds)])

    def _piece(self, row: int, kind: str | None, start: int, stop: int) -> Piece:
        columns = None if kind is None else self.columns[kind]
        place = Place(blocks=[row + 1], start=start, tokens=stop - start)
        return Piece(place=place, token_ids=IDS[start:stop], columns=columns, wants_logits=True)


@pytest.fixture(scope="module")
def bench(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(model, tmp_path_factory.mktemp("kinds"), KINDS)


def test_every_kind_computes_what_peft_computes_beside_all_others__c8(bench: Bench, tally: Tally) -> None:
    kinds: list[str | None] = [None, *KINDS, None]
    wanted = {kind: bench.wanted(kind) for kind in kinds}
    for start, stop in ((0, 10), (10, 11), (11, 20), (20, 21)):  # prompt, decode, chunk, decode
        found = bench.found(kinds, start, stop)
        for row, kind in enumerate(kinds):
            difference = float((found[row] - wanted[kind][stop - 1]).abs().max())
            assert difference < 1e-4, (kind, start, stop)
    tally("adapter kinds equal to PEFT", len(KINDS))
    tally("rows equal to PEFT among other kinds", 4 * len(kinds))


@pytest.mark.parametrize("kind", ["head", "embedding", "some layers", "magnitudes", "biases"])
def test_a_kind_alone_computes_what_peft_computes__c8(bench: Bench, kind: str) -> None:
    found = bench.found([kind], 0, len(IDS))
    torch.testing.assert_close(found[0], bench.wanted(kind)[-1], atol=1e-4, rtol=0)
    assert (found[0] - bench.wanted(None)[-1]).abs().max() > 0.05  # it matters


def test_rows_without_embedding_or_head_are_bit_identical_beside_those_with__c6(bench: Bench) -> None:
    alone = bench.found([None, "attention", None, "attention"], 0, 9)
    beside = bench.found(["head", "attention", None, "embedding"], 0, 9)
    assert torch.equal(alone[1], beside[1])
    assert torch.equal(alone[2], beside[2])


def test_embedding_and_head_take_device_memory_only_while_an_adapter_has_them(
    model: Path, tmp_path: Path
) -> None:
    bench = Bench(model, tmp_path, {kind: KINDS[kind] for kind in ("head", "attention")})
    runner = bench.runner
    with_head = runner.slot_bytes
    width, tokens = runner.wide_modules[0].in_features, 512
    runner.retain([bench.columns["attention"]])
    assert with_head - runner.slot_bytes == 4 * 4 * (width + tokens)  # rank 4 in fp32
    packed = bench.reader().read(bench.digest("attention"))
    runner.write_adapter(bench.columns["head"], bench.reader().read(bench.digest("head")))
    assert runner.slot_bytes == with_head
    runner.write_adapter(bench.columns["head"], packed)  # the slot has another adapter now
    assert runner.slot_bytes < with_head


def test_the_base_model_takes_as_much_as_its_weights(bench: Bench, model: Path) -> None:
    weights = sum((file.stat().st_size for file in model.glob("*.safetensors")), 0)
    assert weights * 0.9 < bench.runner.base_bytes < weights * 1.1
    assert bench.runner.cache.size_bytes > 0


def test_more_than_an_adapters_share_is_refused_with_the_numbers__b11(bench: Bench) -> None:
    needed = 4 * 4 * (bench.runner.wide_modules[0].in_features + 512)
    with pytest.raises(CapacityError, match=rf"needs {needed}, but wide_bytes / slots is {needed - 1}"):
        bench.reader(bytes_each=needed - 1).read(bench.digest("head"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_base_weights_that_come_along_are_taken_if_they_are_the_base_models_own__c8(
    bench: Bench, tmp_path: Path, dtype: torch.dtype
) -> None:
    settings = KINDS["all with head and embedding"]
    folder = save_with_peft(bench.model, tmp_path / "a", settings, 3, base_weights=True)
    tensors = load_file(folder / "adapter_model.safetensors")
    copies = {name: tensor for name, tensor in tensors.items() if name.endswith("base_layer.weight")}
    assert len(copies) == 2  # PEFT's own habit
    save_file(tensors | {n: t.to(dtype) for n, t in copies.items()}, folder / "adapter_model.safetensors")
    digest = adapter_digest(read_adapter(folder))
    reader = replace(bench.reader(), folders={digest: folder})
    assert reader.read(digest).wide
    name, copy = next(iter(copies.items()))
    changed = copy.clone()
    changed[3, 5] += 0.01
    save_file(tensors | {name: changed}, folder / "adapter_model.safetensors")
    with pytest.raises(AdapterRefusedError, match=r"differs in 1 values from the base model's own"):
        reader.read(digest)


def test_dora_never_meets_other_base_weights_than_those_that_run__c8(
    tiny_model: Path, tmp_path: Path
) -> None:
    """What is packed from them is kept under the running model's digest."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    base = load_base_model(model, precision=Precision.FP32)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=1, row_tokens=64))
    settings = {"target_modules": ["q_proj", "v_proj"], "use_dora": True}
    folder = save_with_peft(model, tmp_path / "a", settings, 1)
    digest = adapter_digest(read_adapter(folder))
    pauses: list[None] = []
    reader = AdapterReader(
        folders={digest: folder},
        layouts=runner.layouts,
        dtype=torch.float32,
        max_rank=8,
        base=runner.base_weights,
        pause=lambda: pauses.append(None),
    )
    assert not reader.read(digest).sums
    assert len(pauses) >= len(read_adapter(folder).pairs)  # so that prompts are prepared in between
    weights = next(model.glob("*.safetensors"))
    os.utime(weights, ns=(0, 0))
    assert reader.read(digest).digest == digest  # the same bytes
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BaseModelError, match="its files changed since the worker loaded them"):
        reader.read(digest)
    weights.unlink()
    with pytest.raises(BaseModelError, match="its files changed since the worker loaded them"):
        reader.read(digest)


def test_what_is_no_plain_sum_is_neither_weighed_nor_merged__c8(
    tiny_model: Path, tmp_path: Path, start_yard: Callable[..., Any]
) -> None:
    settings = {"target_modules": ["q_proj"], "use_dora": True}
    yard = start_yard()
    digest = yard.add(save_with_peft(tiny_model, tmp_path / "a", settings, 1))
    parts = (WeightedAdapter(digest=digest, weight=0.5), WeightedAdapter(digest=next(iter(yard.adapters))))
    requests = [
        GenerationRequest(request_id="both", prompt="x", composition=Composition(parts=parts)),
        GenerationRequest(request_id="half", prompt="x", composition=Composition(parts=parts[:1])),
        GenerationRequest(request_id="whole", prompt="x", adapter=digest),
    ]
    outcomes = yard.run(*requests)
    for name in ("both", "half"):
        assert isinstance(outcomes[name], Failed)
        assert outcomes[name].code == "bad_composition"
        assert "cannot be weighed or summed" in outcomes[name].message
    assert isinstance(outcomes["whole"], Succeeded)
    base = load_base_model(tiny_model, precision=Precision.FP32)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=1, row_tokens=64))
    reader = AdapterReader(
        folders=yard.adapters,
        layouts=runner.layouts,
        dtype=torch.float32,
        max_rank=8,
        base=runner.base_weights,
    )
    with pytest.raises(AdapterRefusedError, match="cannot be folded into the base weights"):
        merge(base, reader.read(digest), groups=(), files=runner.base_weights)
