"""Every supported kind of model gives transformers' own logits: windows, shared kv heads, biases, norms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.original_weights import OriginalWeights
from lorayard_workers.engine.patching import find_groups
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.errors import BaseModelUnsupportedError
from lorayard_workers.memory.base_weights import BaseWeights
from lorayard_workers.memory.layout import GroupLayout, linear_shapes
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOW = 24
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0}
GATED: dict[str, Any] = {"intermediate_size": 96}
SHARED_HEADS: dict[str, Any] = {"num_key_value_heads": 2}
MIXED_LAYERS: dict[str, Any] = {
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
CONFIGS: dict[str, dict[str, Any]] = {
    "gemma": {**GATED, **SHARED_HEADS, "head_dim": 16},
    "gemma3_text": {**GATED, **SHARED_HEADS, **MIXED_LAYERS, "head_dim": 16},
    "gpt2": {"n_inner": 96},  # weights stored as (in, out), learned positions, one linear for q, k and v
    "gpt_neox": {**GATED},
    "granite": {**GATED, **SHARED_HEADS, "residual_multiplier": 0.7, "embedding_multiplier": 3.0},
    "mistral": {**GATED, **SHARED_HEADS, "head_dim": 16, "sliding_window": WINDOW},
    "olmo2": {**GATED, **SHARED_HEADS},
    "phi": {**GATED},  # LayerNorm, biases everywhere, attention beside the MLP, half of each head rotated
    "phi3": {**GATED, **SHARED_HEADS},  # one linear for q, k and v, one for gate and up
    "qwen2": {**GATED, **SHARED_HEADS},
    "qwen3": {**GATED, **SHARED_HEADS, "head_dim": 16},
    "smollm3": {**GATED, **SHARED_HEADS},  # every fourth layer without rotation
    "stablelm": {**GATED, **SHARED_HEADS},
    "starcoder2": {**GATED, **SHARED_HEADS, "sliding_window": WINDOW},
}


def random_model(kind: str, settings: dict[str, Any]) -> Any:
    """A decoder of its kind whose biases and norms matter."""
    configs: Any = AutoConfig  # untyped in transformers
    models: Any = AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        model = models.from_config(configs.for_model(kind, **settings))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.data.normal_()  # zero at first: that would hide a lost bias
            elif "norm" in name or "ln_" in name:
                parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, request: pytest.FixtureRequest) -> Path:
    """A random model of the kind asked for, with the tiny model's tokenizer."""
    kind = request.param
    model = random_model(kind, {**SIZES, **CONFIGS[kind]})
    model.save_pretrained(tmp_path / "model")
    for file in tiny_model.glob("tokenizer*"):
        shutil.copy(file, tmp_path / "model" / file.name)
    return tmp_path / "model"


@pytest.mark.parametrize("folder", CONFIGS, indirect=True)
def test_prefill_chunk_and_decode_equal_transformers__c1_c11(folder: Path) -> None:
    reference: Any = load_base_model(folder, precision=Precision.FP32).model
    base = load_base_model(folder, precision=Precision.FP32)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=4, row_tokens=512))
    runner.cache.clear(range(runner.cache.blocks + 1))
    ids = [(7 * i * i + 3) % 500 for i in range(3 * WINDOW)]

    def run(start: int, stop: int) -> Tensor:
        """One row gets the tokens, another one others beside it."""
        place = Place(blocks=[3], start=0, tokens=5)
        other = Piece(place=place, token_ids=ids[:5], columns=None, wants_logits=False)
        piece = Piece(
            place=Place(blocks=[5, 2, 4], start=start, tokens=stop - start),
            token_ids=ids[start:stop],
            columns=None,
            wants_logits=True,
        )
        return runner.forward([other, piece])[0]

    with torch.inference_mode():
        wanted = reference(torch.tensor([ids])).logits[0]
        steps = [(0, 20), (20, 50), (50, 51), (51, 52), (52, 70), (70, 71)]
        for start, stop in steps:
            torch.testing.assert_close(run(start, stop), wanted[stop - 1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("folder", CONFIGS, indirect=True)
def test_an_adapter_on_every_linear_computes_what_peft_computes__c1_c8(folder: Path, tmp_path: Path) -> None:
    base = load_base_model(folder, precision=Precision.FP32)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=2, row_tokens=128))
    shapes = linear_shapes(runner.layouts)
    leaves = tuple({name.rpartition(".")[2] for name in shapes})
    adapter = make_tiny_adapter(tmp_path / "a", seed=1, rank=4, alpha=8.0, targets=leaves, shapes=shapes)
    if base.model.config.model_type == "gpt2":
        change_config(adapter, fan_in_fan_out=True)
    digest = adapter_digest(read_adapter(adapter))
    reader = AdapterReader(folders={digest: adapter}, layouts=runner.layouts, dtype=torch.float32, max_rank=8)
    runner.write_adapter(tuple(range(8)), reader.read(digest))
    models: Any = AutoModelForCausalLM
    peft: Any = PeftModel.from_pretrained(models.from_pretrained(folder, dtype=torch.float32), str(adapter))
    ids = [(7 * i * i + 3) % 500 for i in range(40)]
    with torch.inference_mode():
        wanted = peft.eval()(torch.tensor([ids])).logits[0, -1]
        plain = peft.base_model.disable_adapter_layers() or peft(torch.tensor([ids])).logits[0, -1]
        pieces = [
            Piece(
                place=Place(blocks=[row + 1], start=0, tokens=len(ids)),
                token_ids=ids,
                columns=columns,
                wants_logits=True,
            )
            for row, columns in enumerate((tuple(range(8)), None))
        ]
        found = runner.forward(pieces)
    torch.testing.assert_close(found[0], wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1], plain, atol=1e-4, rtol=0)
    assert (wanted - plain).abs().max() > 0.1  # the adapter matters


@pytest.mark.parametrize("folder", CONFIGS, indirect=True)
def test_inputs_shared_by_several_linears_are_fused(folder: Path) -> None:
    base = load_base_model(folder)
    groups = [group.layout for group in find_groups(base)]
    assert len(groups) == 3 * 4  # what reads one input; then o; gate and up; down of each layer
    members = 3 * (6 if base.model.config.model_type in {"phi", "starcoder2"} else 7)
    assert len(linear_shapes(groups)) == (members if {"q_proj"} & _leaves(groups) else 3 * 4)


def _leaves(groups: list[GroupLayout]) -> set[str]:
    return {name.rpartition(".")[2] for name in linear_shapes(groups)}


def change_config(adapter: Path, **changes: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def built(kind: str, **settings: Any) -> BaseModel:
    """A loaded model as the engine gets it, without a folder."""
    model = random_model(kind, SIZES | settings).eval().requires_grad_(False)
    return BaseModel(
        folder=Path("models/any"),
        model=model,
        tokenizer=None,
        digest="sha256:00",
        context_tokens=512,
        eos_ids=frozenset(),
    )


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("gemma2", {**GATED, "head_dim": 16}, "final_logit_softcapping 30.0"),
        (
            "llama",
            {**GATED, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            "rope type 'dynamic'",
        ),
        ("mixtral", {**GATED, "num_local_experts": 2}, "experts are not linear layers"),
        ("gpt_oss", {**GATED, "head_dim": 16, "num_local_experts": 1}, "sinks|axes"),
        ("mamba", {}, "layer type 'linear_attention'"),
        ("bloom", {}, "0 calls of transformers' attention interface for 3 layers"),
        ("diffllama", {**GATED}, "6 calls of transformers' attention interface for 3 layers"),
    ],
)
def test_a_model_that_would_run_wrongly_is_refused_with_the_reason__g3(
    kind: str, settings: dict[str, Any], reason: str
) -> None:
    base = built(kind, **settings)
    with pytest.raises(BaseModelUnsupportedError, match=reason):
        ModelRunner(base, RunnerSize(columns=8, rows=2, row_tokens=64))


def test_a_window_that_a_layer_does_not_pass_on_is_refused__g3() -> None:
    base = built("llama", **GATED)  # Llama knows of no windows
    object.__setattr__(base.model.config, "sliding_window", 16)
    with pytest.raises(BaseModelUnsupportedError, match=r"a window of 16 tokens by .* asks .* None"):
        ModelRunner(base, RunnerSize(columns=8, rows=2, row_tokens=64))


def test_an_unknown_model_is_refused_with_numbers_when_it_computes_something_else__g3() -> None:
    base = built("cohere", **GATED)  # multiplies the logits after its head
    with pytest.raises(BaseModelUnsupportedError, match=r"token \d+ of row \d differs by .* in one logit"):
        ModelRunner(base, RunnerSize(columns=8, rows=2, row_tokens=64))


class Louder(torch.nn.Linear):
    """A linear that is more than one: its class is all that tells."""

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        return super().forward(input) * 2


@pytest.mark.parametrize("folder", CONFIGS, indirect=True)
def test_weights_to_merge_into_are_read_group_by_group_as_they_were_loaded__c10(
    folder: Path, tmp_path: Path
) -> None:
    base = load_base_model(folder, precision=Precision.FP32)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=2, row_tokens=64))
    single = OriginalWeights(base, runner.base_weights)
    whole = OriginalWeights(base, BaseWeights(folder=tmp_path))  # names nothing
    squares = {m for at in runner.layouts for m, width in at.widths if width == at.in_features}
    turned = BaseWeights(folder=folder, turned=runner.base_weights.turned ^ squares)  # the wrong way round
    strange = OriginalWeights(base, turned)
    for layout, linear in runner.linears:
        wanted = whole.of(layout, linear)
        assert torch.equal(single.of(layout, linear), wanted)
        assert torch.equal(strange.of(layout, linear), wanted)
    assert "_all" not in vars(single)  # never the whole model


def test_a_linear_of_an_unknown_class_keeps_its_own_ways__g3() -> None:
    base = built("llama", **GATED)
    layer = base.model.model.layers[1].mlp
    weight = layer.down_proj.weight
    layer.down_proj = Louder(96, 64, bias=False)
    layer.down_proj.weight = weight
    runner = ModelRunner(base, RunnerSize(columns=8, rows=2, row_tokens=64))
    assert "model.layers.1.mlp.down_proj" not in linear_shapes(runner.layouts)


def test_a_model_that_brings_its_own_code_is_refused__g5(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    path.write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model" / "evil.py").write_text("raise SystemExit(9)", encoding="utf-8")
    with pytest.raises(BaseModelUnsupportedError, match="code of its own"):
        load_base_model(tmp_path / "model")
