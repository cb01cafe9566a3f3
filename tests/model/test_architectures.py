"""Every supported kind of model gives transformers' own logits: windows, shared kv heads, biases, norms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Gemma3TextConfig, MistralConfig, Qwen2Config, Qwen3Config

from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.patching import find_groups
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.errors import BaseModelUnsupportedError
from lorayard_workers.memory.layout import linear_shapes

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
    "pad_token_id": 0,
}
WINDOW = 24
CONFIGS: dict[str, Callable[[], Any]] = {
    "gemma3_text": lambda: Gemma3TextConfig(
        **SIZES,
        sliding_window=WINDOW,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "mistral": lambda: MistralConfig(**SIZES, sliding_window=WINDOW),
    "qwen2": lambda: Qwen2Config(**{k: v for k, v in SIZES.items() if k != "head_dim"}),
    "qwen3": lambda: Qwen3Config(**SIZES),
}


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, request: pytest.FixtureRequest) -> Path:
    """A random model of the kind asked for, with the tiny model's tokenizer."""
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        loader: Any = AutoModelForCausalLM  # untyped in transformers
        model = loader.from_config(CONFIGS[request.param]())
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.data.normal_()  # zero at first: that would hide a lost bias
    model.save_pretrained(tmp_path / "model")
    for file in tiny_model.glob("tokenizer*"):
        shutil.copy(file, tmp_path / "model" / file.name)
    return tmp_path / "model"


@pytest.mark.parametrize("folder", CONFIGS, indirect=True)
def test_prefill_chunk_and_decode_equal_transformers__c1_c11(folder: Path) -> None:
    reference: Any = load_base_model(folder, precision=Precision.FP32).model
    base = load_base_model(folder, precision=Precision.FP32)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=4, row_tokens=512))
    ids = [(7 * i * i + 3) % 500 for i in range(3 * WINDOW)]

    def run(start: int, stop: int) -> Tensor:
        """Row 2 gets the tokens, row 0 others beside it."""
        other = Piece(
            place=Place(row=0, start=0, tokens=5), token_ids=ids[:5], columns=None, wants_logits=False
        )
        piece = Piece(
            place=Place(row=2, start=start, tokens=stop - start),
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
def test_inputs_shared_by_several_linears_are_fused(folder: Path) -> None:
    groups = [group.layout for group in find_groups(load_base_model(folder))]
    assert len(groups) == 3 * 4  # q,k,v; o; gate,up; down of each layer
    assert len(linear_shapes(groups)) == 3 * 7
    assert linear_shapes(groups)["model.layers.1.self_attn.v_proj"] == (32, 64)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "gpt2"}, "model type 'gpt2'"),  # other layers altogether
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "rope type 'dynamic'"),
    ],
)
def test_a_model_that_would_run_wrongly_is_refused_with_the_reason__g3(
    tmp_path: Path, tiny_model: Path, changes: dict[str, Any], reason: str
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    base = load_base_model(tmp_path / "model")
    for name, value in changes.items():
        object.__setattr__(base.model.config, name, value)
    with pytest.raises(BaseModelUnsupportedError, match=reason):
        ModelRunner(base, RunnerSize(columns=8, rows=1, row_tokens=64))


def test_a_model_that_brings_its_own_code_is_refused__g5(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    path.write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model" / "evil.py").write_text("raise SystemExit(9)", encoding="utf-8")
    with pytest.raises(BaseModelUnsupportedError, match="code of its own"):
        load_base_model(tmp_path / "model")
