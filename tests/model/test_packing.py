"""What an adapter looks like in host memory, and what a slot makes of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import (
    load_file,  # pyright: ignore[reportUnknownVariableType]  # os.PathLike
    save_file,  # pyright: ignore[reportUnknownVariableType]  # os.PathLike
)

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.memory.packing import HostAdapter, pack_adapter, raw_to_tensor
from lorayard_workers.tiny_model import ALL_TARGETS, make_tiny_adapter


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> BaseModel:
    return load_base_model(tiny_model, precision=Precision.FP32)


@pytest.fixture(scope="module")
def runner(base: BaseModel) -> ModelRunner:
    return ModelRunner(base, RunnerSize(columns=48, rows=4, row_tokens=256))


def packed(runner: ModelRunner, folder: Path, targets: tuple[str, ...]) -> HostAdapter:
    adapter = read_adapter(make_tiny_adapter(folder, seed=1, targets=targets))
    return pack_adapter(adapter, adapter_digest(adapter), runner.layouts, torch.float32)


def test_a_group_that_an_adapter_leaves_alone_takes_no_memory__c2(
    runner: ModelRunner, tmp_path: Path
) -> None:
    whole = packed(runner, tmp_path / "whole", ALL_TARGETS)
    few = packed(runner, tmp_path / "few", ("q_proj", "v_proj"))
    kept = [layout for layout, group in zip(runner.layouts, few.groups, strict=True) if group is not None]
    assert {member.rpartition(".")[2] for layout in kept for member in layout.members} == {
        "q_proj",
        "k_proj",
        "v_proj",
    }
    assert None not in whole.groups
    floats = sum(few.rank * (3 * layout.in_features + sum(layout.out_features)) for layout in kept)
    assert few.size_bytes == 4 * floats
    assert few.size_bytes < whole.size_bytes / 2


def retyped(folder: Path, dtype: torch.dtype) -> Path:
    """The same adapter with its file's values in another type."""
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_packed_is_scaled_in_full_precision_and_rounded_once(
    runner: ModelRunner, tmp_path: Path, stored: torch.dtype, dtype: torch.dtype
) -> None:
    adapter = read_adapter(retyped(make_tiny_adapter(tmp_path / "a", seed=3, rank=4, alpha=3.0), stored))
    found = pack_adapter(adapter, adapter_digest(adapter), runner.layouts, dtype)
    for layout, group in zip(runner.layouts, found.groups, strict=True):
        assert group is not None
        for index, member in enumerate(layout.members):
            pair = adapter.pairs[member]
            assert torch.equal(group.a[:4, index], raw_to_tensor(pair.a).to(dtype))
            wanted = (raw_to_tensor(pair.b).float() * pair.scale).to(dtype)
            assert torch.equal(group.b[index][:4], wanted.t())
            assert not group.a[4:].any()
            assert not group.b[index][4:].any()  # the rank is padded


@pytest.mark.parametrize("value", [1e6, -1e6, math.inf, math.nan])
def test_a_value_that_the_models_type_cannot_hold_is_refused_by_its_module__c8(
    runner: ModelRunner, tmp_path: Path, value: float
) -> None:
    folder = make_tiny_adapter(tmp_path / "a", seed=3, alpha=8.0)
    path, module = folder / "adapter_model.safetensors", "model.layers.1.mlp.up_proj"
    tensors = load_file(path)
    tensors[f"base_model.model.{module}.lora_B.weight"][5, 1] = value
    save_file(tensors, path)
    adapter = read_adapter(folder)
    with pytest.raises(AdapterRefusedError, match="lora_B has 1 values that are not finite once") as error:
        pack_adapter(adapter, adapter_digest(adapter), runner.layouts, torch.float16)
    assert error.value.module == module


@pytest.mark.parametrize("columns", [tuple(range(8)), (*range(4), *range(40, 44))], ids=["run", "scattered"])
def test_nothing_of_a_former_resident_stays_in_its_columns__c6(
    base: BaseModel, runner: ModelRunner, tmp_path: Path, columns: tuple[int, ...]
) -> None:
    """Also not in groups that the newcomer leaves alone."""
    old = packed(runner, tmp_path / "old", ALL_TARGETS)
    new = packed(runner, tmp_path / "new", ("o_proj",))
    ids = base.prompt_ids("Hello there")
    piece = Piece(
        place=Place(blocks=[1], start=0, tokens=len(ids)), token_ids=ids, columns=columns, wants_logits=True
    )

    def logits(*adapters: HostAdapter) -> torch.Tensor:
        for adapter in adapters:
            runner.write_adapter(columns, adapter)
        runner.cache.clear([1])
        return runner.forward([piece])

    with torch.inference_mode():
        runner.write_adapter(tuple(range(48)), _nothing(runner))
        clean = logits(new)
        assert torch.equal(logits(old, new), clean)
        assert not torch.equal(logits(old), clean)


def _nothing(runner: ModelRunner) -> HostAdapter:
    return HostAdapter(digest="", rank=48, groups=(None,) * len(runner.layouts), size_bytes=0)
