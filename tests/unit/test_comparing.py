"""Norms and cosines of updates by products of rank by rank, against the full matrices (D6)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike

from lorayard_shared.adapters.comparing import ModuleDiff, compare
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import read_adapter
from lorayard_shared.adapters.open_weights import open_weights
from lorayard_shared.adapters.settings_diff import compare_settings
from lorayard_workers.tiny_model import make_tiny_adapter

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
FIRST = "model.layers.0.self_attn.q_proj"
Arrays = dict[str, NDArray[Any]]


def full(folder: Path, module: str) -> NDArray[np.float64]:
    """scale·B·A, written out."""
    adapter, tensors = read_adapter(folder), load_file(folder / WEIGHTS)
    down, up = (tensors[f"base_model.model.{module}.lora_{side}.weight"] for side in "AB")
    return adapter.pairs[module].scale * (up.astype(np.float64) @ down.astype(np.float64))


def compared(first: Path, second: Path) -> dict[str, ModuleDiff]:
    with open_weights(first) as one, open_weights(second) as other:
        return {module.module: module for module in compare(one, other)}


def rewrite(folder: Path, tensors: Arrays) -> None:
    save_file(tensors, folder / WEIGHTS)


def test_norms_change_and_cosine_are_those_of_the_full_matrices__d6(tmp_path: Path) -> None:
    first = make_tiny_adapter(tmp_path / "a", seed=1, rank=8, rank_pattern={"q_proj": 4})
    second = make_tiny_adapter(tmp_path / "b", seed=2, rank=16, alpha=8.0, use_rslora=True)
    found = compared(first, second)
    assert found.keys() == read_adapter(first).pairs.keys()
    for module, told in found.items():
        one, other = full(first, module), full(second, module)
        assert told.first_norm == pytest.approx(np.linalg.norm(one), rel=1e-9)
        assert told.second_norm == pytest.approx(np.linalg.norm(other), rel=1e-9)
        assert told.change == pytest.approx(np.linalg.norm(other - one) / np.linalg.norm(one), rel=1e-9)
        cosine = float(np.sum(one * other)) / float(np.linalg.norm(one) * np.linalg.norm(other))
        assert told.cosine == pytest.approx(cosine, abs=1e-9)


def test_one_update_in_two_spellings_has_not_changed__d6(tmp_path: Path) -> None:
    first = make_tiny_adapter(tmp_path / "a", seed=1)
    second = make_tiny_adapter(tmp_path / "b", seed=1, alpha=8.0)
    tensors: Arrays = load_file(second / WEIGHTS)
    for name, array in tensors.items():  # other signs, another order of ranks, and half of alpha made up for
        tensors[name] = np.ascontiguousarray(-array[::-1] if "lora_A" in name else -2 * array[:, ::-1])
    rewrite(second, tensors)
    assert {one.change for one in compared(first, second).values()} == {0.0}
    assert all(one.cosine == pytest.approx(1.0) for one in compared(first, second).values())


def test_a_small_change_of_one_module_is_measured_and_no_other_has_changed__d6(tmp_path: Path) -> None:
    first, second = (make_tiny_adapter(tmp_path / name, seed=1) for name in "ab")
    tensors: Arrays = load_file(second / WEIGHTS)
    tensors[f"base_model.model.{FIRST}.lora_B.weight"] *= np.float32(1.001)
    rewrite(second, tensors)
    found = compared(first, second)
    assert found[FIRST].change == pytest.approx(0.001, rel=1e-3)
    assert [module for module, one in found.items() if one.change] == [FIRST]


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_halves_are_read_as_what_they_are__d6(tmp_path: Path, dtype: str) -> None:
    first = make_tiny_adapter(tmp_path / "a", seed=1)
    second = make_tiny_adapter(tmp_path / "b", seed=1)
    kind = {"F16": torch.float16, "BF16": torch.bfloat16}[dtype]
    tensors: Arrays = load_file(first / WEIGHTS)
    halves = {name: torch.tensor(array).to(kind) for name, array in tensors.items()}
    safetensors.torch.save_file(halves, second / WEIGHTS)
    down, up = (halves[f"base_model.model.{FIRST}.lora_{side}.weight"].double() for side in "AB")
    norm = (2.0 * up @ down).square().sum().sqrt().item()
    assert compared(first, second)[FIRST].second_norm == pytest.approx(norm, rel=1e-9)


def test_what_is_on_one_side_only_or_of_another_shape_or_zero_has_no_measure__d6(tmp_path: Path) -> None:
    first = make_tiny_adapter(tmp_path / "a", seed=1, targets=("q_proj", "v_proj"))
    second = make_tiny_adapter(tmp_path / "b", seed=1, targets=("q_proj", "o_proj"))
    tensors: Arrays = load_file(first / WEIGHTS)
    tensors[f"base_model.model.{FIRST}.lora_B.weight"] *= np.float32(0)
    rewrite(first, tensors)
    changed: Arrays = load_file(second / WEIGHTS)
    other = "model.layers.1.self_attn.q_proj"
    name = f"base_model.model.{other}.lora_A.weight"
    changed[name] = np.concatenate([changed[name]] * 2, axis=1)
    rewrite(second, changed)
    found = compared(first, second)
    gone = found["model.layers.0.self_attn.v_proj"]
    new = found["model.layers.0.self_attn.o_proj"]
    assert (gone.second_norm, gone.change, gone.cosine) == (None, None, None)
    assert (new.first_norm, new.change) == (None, None)
    assert gone.first_norm == pytest.approx(float(np.linalg.norm(full(first, gone.module))))
    assert (found[FIRST].first_norm, found[FIRST].change, found[FIRST].cosine) == (0.0, None, None)
    assert found[other].change is None
    assert "is now" in found[other].note
    assert all(math.isinf(one.weight) for one in (gone, new, found[FIRST], found[other]))


def test_values_that_are_not_finite_are_refused_with_their_module__g3(tmp_path: Path) -> None:
    first, second = (make_tiny_adapter(tmp_path / name, seed=1) for name in "ab")
    tensors: Arrays = load_file(second / WEIGHTS)
    tensors[f"base_model.model.{FIRST}.lora_A.weight"][0, 0] = np.nan
    rewrite(second, tensors)
    with pytest.raises(AdapterRefusedError, match="not finite") as caught:
        compared(first, second)
    assert (caught.value.module, caught.value.path) == (FIRST, second)


def test_a_file_that_is_cut_or_lies_is_refused_as_when_it_is_served__g3(tmp_path: Path) -> None:
    folder = make_tiny_adapter(tmp_path / "a", seed=1)
    whole = (folder / WEIGHTS).read_bytes()
    for data in (whole[:-1], whole + b"0", whole[:100], b"", (1 << 60).to_bytes(8, "little") + whole[8:]):
        (folder / WEIGHTS).write_bytes(data)
        with pytest.raises(AdapterRefusedError) as served:
            read_adapter(folder)
        with pytest.raises(AdapterRefusedError) as looked, open_weights(folder):
            pass
        assert looked.value.reason == served.value.reason


def test_a_file_that_is_cut_while_it_is_read_is_said__g3(tmp_path: Path) -> None:
    folder = make_tiny_adapter(tmp_path / "a", seed=1)
    with open_weights(folder) as weights:
        with (folder / WEIGHTS).open("r+b") as file:
            file.truncate(2000)
        last = list(weights.pairs.values())[-1]
        with pytest.raises(AdapterRefusedError, match="changed while it was read"):
            weights.read(last.b)


def test_settings_are_compared_by_what_they_mean__d6(tmp_path: Path) -> None:
    first = make_tiny_adapter(tmp_path / "a", seed=1, targets=("q_proj", "v_proj"))
    second = make_tiny_adapter(tmp_path / "b", seed=1, targets=("v_proj", "q_proj"), alpha=8.0)
    config = json.loads((second / CONFIG).read_text())
    (second / CONFIG).write_text(json.dumps({**config, "alpha_pattern": {"q_proj": 4}, "use_rslora": True}))
    (second / "prompt_template.txt").write_text("Q: {prompt}")
    with open_weights(first) as one, open_weights(second) as other:
        changed = {
            field.field: (field.first, field.second)
            for field in compare_settings(one, other)
            if not field.same
        }
    assert changed == {
        "alpha": ("16", "8"),
        "rslora": ("no", "yes"),
        "alpha_pattern": ("none", '{"q_proj": 4.0}'),
        "template": ("none", "Q: {prompt}"),
    }
