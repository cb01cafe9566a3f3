"""A corpus of bad adapters: each is refused with its module and numbers, none is executed (C8, G3, G5)."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import MAX_TENSORS, read_adapter
from lorayard_shared.adapters.finite import check_finite
from lorayard_workers.adapters.fit import check_fits, check_rank
from lorayard_workers.errors import CapacityError
from lorayard_workers.tiny_model import TINY_SHAPES, make_tiny_adapter

WEIGHTS = "adapter_model.safetensors"
FIRST = "model.layers.0.self_attn.q_proj"
Arrays = dict[str, NDArray[Any]]


def judge(folder: Path) -> None:
    """Everything a loader checks before any tier is touched."""
    adapter = read_adapter(folder, max_bytes=4_000_000)
    check_fits(adapter, TINY_SHAPES)
    check_finite(adapter)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_adapter(tmp_path / "adapter", seed=1)


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config.update(changes)
    kept = {name: value for name, value in config.items() if value is not ...}  # ... takes a setting out
    path.write_text(json.dumps(kept), encoding="utf-8")


def change_weights(folder: Path, change: Callable[[Arrays], object]) -> None:
    tensors: Arrays = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def key(side: str, module: str = FIRST) -> str:
    return f"base_model.model.{module}.lora_{side}.weight"


def test_a_sound_adapter_is_accepted__c8(folder: Path) -> None:
    judge(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "LOHA"}, "peft_type: .* not 'LOHA'"),  # another method
        ({"peft_type": ...}, "peft_type: Field required"),
        ({"lora_alpha": ...}, "lora_alpha: Field required"),  # PEFT's default of 8 would be a guess
        ({"lora_alpha": 0}, "lora_alpha: .* greater than 0"),
        ({"lora_alpha": float("inf")}, "lora_alpha: .* finite"),
        ({"r": 0}, "r: .* greater than or equal to 1"),
        ({"r": "8"}, "r: .* integer"),
        ({"r": 10**9}, "r: .* 4096"),
        ({"bias": "all"}, "bias: .* not 'all'"),
        ({"use_dora": True}, "use_dora is true, but .* is missing"),
        ({"lora_bias": True}, "lora_bias is true, but .* is missing"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save: fully trained"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "activated LoRA"),
        ({"init_lora_weights": "pissa"}, "'pissa' rewrites the base weights"),
        ({"brand_new_setting": 3}, "brand_new_setting: unknown setting"),
        ({"rank_pattern": {"(a+)+$": 4}}, "pattern key"),  # would take exponential time
        ({"r": 4}, "says rank 4, but lora_A is \\[8, 352\\]"),
        (
            {"target_modules": ["q_proj", "k_proj"]},
            "mlp.down_proj: has tensors, but .* do not select it \\(20 of 28 modules",
        ),  # PEFT would ignore them
    ],
)
def test_a_setting_we_would_get_wrong_is_refused_by_name__c8_g3(
    folder: Path, changes: dict[str, Any], reason: str
) -> None:
    change_config(folder, **changes)
    with pytest.raises(AdapterRefusedError, match=reason) as caught:
        judge(folder)
    assert caught.value.path == folder


def test_settings_that_are_off_or_only_for_training_are_ignored__c8(folder: Path) -> None:
    change_config(folder, brand_new_setting=None, use_dora=False, lora_dropout=0.1, peft_version="9")
    judge(folder)


BAD_WEIGHTS: list[tuple[Callable[[Arrays], object], str]] = [
    (lambda t: t.pop(key("B")), f"{FIRST}: lora_B is missing"),
    (lambda t: t.update({key("A"): t[key("A")][:, :100].copy()}), "base layer is \\[128, 128\\]"),
    (lambda t: t.update({key("A"): t[key("A")].reshape(-1)}), "shape \\[1024\\], not two axes"),
    (lambda t: t.update({key("A"): t[key("A")].astype(np.int32)}), "type I32"),
    (lambda t: t[key("A")].__setitem__((0, 0), np.nan), f"{FIRST}: lora_A has 1 values"),
    (lambda t: t[key("B")].fill(np.inf), f"{FIRST}: lora_B has 1024 values"),
    (lambda t: t.update({"lm_head.weight": t[key("A")]}), "lm_head.weight: not a LoRA tensor"),
    (
        lambda t: t.update({f"base_model.model.{FIRST}.lora_magnitude_vector": t[key("A")]}),
        "use_dora is false, but .* comes along",
    ),
    (
        lambda t: t.update({key(s, "model.layers.9.mlp.up_proj"): t[key(s)] for s in "AB"}),
        "layers.9.mlp.up_proj: not a linear layer .*1 of 29",
    ),
    (lambda t: [t.pop(key(s)) for s in "AB"], f"{FIRST}: a target without tensors \\(1 of 28"),
    (lambda t: t.clear(), "holds no tensors"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_WEIGHTS, ids=[reason for _, reason in BAD_WEIGHTS])
def test_weights_that_do_not_fit_are_refused_with_module_and_numbers__c8_g3(
    folder: Path, change: Callable[[Arrays], object], reason: str
) -> None:
    change_weights(folder, change)
    with pytest.raises(AdapterRefusedError, match=reason):
        judge(folder)


def test_an_adapter_for_another_model_matches_nothing__c8(folder: Path) -> None:
    adapter = read_adapter(folder)
    with pytest.raises(AdapterRefusedError, match="none of its 28 modules"):
        check_fits(adapter, {"transformer.h.0.attn": (1, 1)})


def header_that_lies(data: bytes) -> bytes:
    size = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + size].replace(b"[8,128]", b"[9,128]", 1)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-1],
    "longer": lambda data: data + b"x",  # something hidden behind the end
    "empty": lambda _: b"",
    "huge header": lambda data: b"\xff" * 8 + data[8:],  # of 2^64 bytes
    "lying header": header_that_lies,
    "zip": lambda data: b"PK\x03\x04" + data,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_refused__g3_g5(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = folder / WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AdapterRefusedError, match="damaged"):
        judge(folder)


def test_a_tensors_name_of_any_length_makes_a_short_message__g5(folder: Path) -> None:
    change_weights(folder, lambda t: t.update({key("A", "m." * 50_000): t.pop(key("A"))}))
    with pytest.raises(
        AdapterRefusedError, match=r"a tensor's name of 100\d+ characters, more than 512"
    ) as error:
        judge(folder)
    assert len(str(error.value)) < 400
    assert len(error.value.module or "") < 200


def test_a_shape_of_any_number_of_axes_makes_a_short_message__g5(folder: Path) -> None:
    change_weights(folder, lambda t: t.update({key("A"): t[key("A")].reshape((1,) * 60 + t[key("A")].shape)}))
    with pytest.raises(AdapterRefusedError, match=r"lora_A has shape \[1, .*1, \.\.\.\], not two axes"):
        judge(folder)


def test_more_tensors_than_any_model_has_are_refused__g5(folder: Path) -> None:
    nothing = np.zeros((0,), np.float32)
    change_weights(folder, lambda t: t.update({f"{i}": nothing for i in range(MAX_TENSORS)}))
    with pytest.raises(AdapterRefusedError, match=rf"holds \d+ tensors, more than {MAX_TENSORS}"):
        read_adapter(folder)


def test_too_many_keys_for_so_many_modules_are_refused_before_they_are_looked_up__g5(folder: Path) -> None:
    change_config(folder, rank_pattern={f"{i}" + "." * 500: 4 for i in range(1000)})
    nothing = np.zeros((0,), np.float32)
    change_weights(folder, lambda t: t.update({key("A", f"{i}" + ".a" * 200): nothing for i in range(1000)}))
    with pytest.raises(AdapterRefusedError, match="rank_pattern, alpha_pattern: too many keys"):
        read_adapter(folder)


def test_an_oversized_file_is_refused_before_it_is_read__g5(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(10**12)  # sparse
    with pytest.raises(AdapterRefusedError, match="1000000000000 bytes, more than 4000000"):
        judge(folder)


class Bomb:
    """Runs when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt", "weights.pkl"])
def test_a_pickle_is_refused_unread_with_the_way_to_convert_it__g5(folder: Path, name: str) -> None:
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AdapterRefusedError, match=f"{name} is a pickle.*safe_serialization=True"):
        judge(folder)


@pytest.mark.parametrize("config", ["", "[]", "{", "null", '{"peft_type": 5}', "\x00"])
def test_a_config_that_is_no_config_is_refused__g3(folder: Path, config: str) -> None:
    (folder / "adapter_config.json").write_text(config, encoding="utf-8")
    with pytest.raises(AdapterRefusedError, match=r"adapter_config\.json"):
        judge(folder)


def test_a_rank_over_the_limit_names_both_numbers__b11(folder: Path) -> None:
    with pytest.raises(CapacityError, match="needs 8, but max_rank is 4"):
        check_rank(read_adapter(folder), 4)


@pytest.mark.parametrize(
    ("changes", "module", "scale"),
    [
        ({}, FIRST, 16 / 8),
        ({"use_rslora": True}, FIRST, 16 / 8**0.5),
        ({"alpha_pattern": {"q_proj": 4.0}}, FIRST, 4 / 8),
        ({"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 4.0}}, FIRST, 4 / 8),
        ({"alpha_pattern": {"j": 4.0}}, FIRST, 16 / 8),  # a key names whole parts, not endings
    ],
)
def test_scales_follow_pefts_rules__c8(
    folder: Path, changes: dict[str, Any], module: str, scale: float
) -> None:
    change_config(folder, **changes)
    assert read_adapter(folder).pairs[module].scale == pytest.approx(scale)


def test_the_digest_names_content_not_layout(folder: Path, tmp_path: Path) -> None:
    before = adapter_digest(read_adapter(folder))
    tensors: Arrays = load_file(folder / WEIGHTS)
    save_file(dict(reversed(tensors.items())), folder / WEIGHTS, metadata={"note": "other"})
    change_config(folder, base_model_name_or_path="/elsewhere", lora_dropout=0.5)
    assert adapter_digest(read_adapter(folder.rename(tmp_path / "moved"))) == before


def test_the_digest_changes_with_scale_and_weights(folder: Path) -> None:
    before = adapter_digest(read_adapter(folder))
    change_config(folder, lora_alpha=17)
    rescaled = adapter_digest(read_adapter(folder))
    change_config(folder, lora_alpha=16)
    change_weights(folder, lambda t: t[key("A")].__setitem__((0, 0), 0.25))
    assert len({before, rescaled, adapter_digest(read_adapter(folder))}) == 3
