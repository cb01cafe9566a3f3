"""Broken adapter weights: shapes, ranks, modules, values and types that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike

from lorayard_cli.bench.engine_sides.corpus_configs import Claim, settings

WEIGHTS_NAME = "adapter_model.safetensors"
FIRST = "model.layers.0.self_attn.q_proj"
_LAST = "model.layers.3.mlp.down_proj"
_Arrays = dict[str, NDArray[Any]]


def tensors(change: Callable[[_Arrays], object]) -> Callable[[Path], None]:
    """A spoiler that changes the tensors."""

    def spoil(folder: Path) -> None:
        held: _Arrays = load_file(folder / WEIGHTS_NAME)
        change(held)
        save_file({n: np.ascontiguousarray(a) for n, a in held.items()}, folder / WEIGHTS_NAME)

    return spoil


def key(side: str, module: str = FIRST) -> str:
    """The name of a module's A or B."""
    return f"base_model.model.{module}.lora_{side}.weight"


def _as(dtype: type[np.generic]) -> Callable[[Path], None]:
    return tensors(lambda held: held.update({key("A"): held[key("A")].astype(dtype)}))


def _rename(module: str) -> Callable[[Path], None]:
    """Put the first module's tensors under another name."""
    return tensors(lambda held: held.update({key(side, module): held.pop(key(side)) for side in "AB"}))


def _wrong_base(folder: Path) -> None:
    tensors(lambda held: _move_all(held, "model.layers.", "transformer.h."))(folder)


def _move_all(held: _Arrays, old: str, new: str) -> None:
    for name in list(held):
        held[name.replace(old, new)] = held.pop(name)


def _rank_over_the_limit(folder: Path) -> None:
    def widen(held: _Arrays) -> None:
        for name, array in held.items():
            held[name] = np.repeat(array, 8, axis=0 if ".lora_A." in name else 1)

    tensors(widen)(folder)
    settings(r=32)(folder)


def _overflow(folder: Path) -> None:
    settings(lora_alpha=1e38)(folder)
    tensors(lambda held: held[key("B")].fill(1e3))(folder)


def _set(side: str, module: str, value: float) -> Callable[[Path], None]:
    return tensors(lambda held: held[key(side, module)].__setitem__((0, 0), value))


WEIGHTS: Mapping[str, tuple[Callable[[Path], object], Claim]] = {
    "another-base-model": (_wrong_base, Claim("none of its 28 modules", "transformer.h.0.mlp.down_proj")),
    "a-module-too-many": (
        tensors(
            lambda held: held.update({key(s, "model.layers.9.mlp.up_proj"): held[key(s)] for s in "AB"}),
        ),
        Claim("layers.9.mlp.up_proj: .*1 of 29", "model.layers.9.mlp.up_proj"),
    ),
    "a-module-too-few": (
        tensors(lambda held: [held.pop(key(side)) for side in "AB"]),
        Claim("a target without tensors .1 of 28", FIRST),
    ),
    "traversal-in-a-name": (
        _rename("../../../etc/passwd"),
        Claim("etc/passwd: ", "../../../etc/passwd"),
    ),
    "format-characters-in-a-name": (_rename("{0.__class__}%s\n"), Claim("__class__")),
    "b-missing": (tensors(lambda held: held.pop(key("B"))), Claim("lora_B is missing", FIRST)),
    "a-missing": (tensors(lambda held: held.pop(key("A", _LAST))), Claim("lora_A is missing", _LAST)),
    "no-tensors": (tensors(lambda held: held.clear()), Claim("holds no tensors")),
    "an-input-too-narrow": (
        tensors(lambda held: held.update({key("A"): held[key("A")][:, :100]})),
        Claim(r"base layer is \[128, 128\], but lora_A is \[4, 100\]", FIRST),
    ),
    "an-output-too-wide": (
        tensors(lambda held: held.update({key("B"): np.repeat(held[key("B")], 2, 0)})),
        Claim(r"lora_B is \[256, 4\]", FIRST),
    ),
    "b-transposed": (
        tensors(lambda held: held.update({key("B"): held[key("B")].T})),
        Claim(r"lora_B is \[4, 128\]", FIRST),
    ),
    "one-axis": (
        tensors(lambda held: held.update({key("A"): held[key("A")].reshape(-1)})),
        Claim("not two axes", FIRST),
    ),
    "three-axes": (
        tensors(lambda held: held.update({key("A"): held[key("A")][None]})),
        Claim("not two axes", FIRST),
    ),
    "no-rows": (
        tensors(lambda held: held.update({key("A"): held[key("A")][:0], key("B"): held[key("B")][:, :0]})),
        Claim(r"rank 4, but lora_A is \[0, 128\]", FIRST),
    ),
    "a-rank-that-lies": (settings(r=8), Claim("says rank 8, but lora_A is")),
    "a-rank-pattern-that-lies": (
        settings(rank_pattern={"q_proj": 2}),
        Claim(r"says rank 2, but lora_A is \[4, 128\]", FIRST),
    ),
    "a-rank-over-the-limit": (_rank_over_the_limit, Claim("needs 32, but max_rank is 16")),
    "nan-in-a": (_set("A", FIRST, np.nan), Claim("lora_A has 1 values that are not finite", FIRST)),
    "infinity-in-b": (_set("B", _LAST, np.inf), Claim("lora_B has 1 values that are not finite", _LAST)),
    "overflow-once-scaled": (_overflow, Claim("lora_B .*overflow", FIRST)),
    "double-precision": (_as(np.float64), Claim("type F64", key("A"))),
    "bytes": (_as(np.int8), Claim("type I8", key("A"))),
    "booleans": (_as(np.bool_), Claim("type BOOL", key("A"))),
    "integers": (_as(np.int32), Claim("type I32", key("A"))),
    "a-whole-layer-besides": (
        tensors(lambda held: held.update({"lm_head.weight": held[key("A")]})),
        Claim("lm_head.weight: not a LoRA tensor", "lm_head.weight"),
    ),
    "embedding-tensors-for-a-linear": (
        tensors(lambda held: _move_all(held, "q_proj.lora_A.weight", "q_proj.lora_embedding_A")),
        Claim("tensors for an embedding, which it is not|a second lora_"),
    ),
    "magnitudes-of-no-dora": (
        tensors(
            lambda held: held.update(
                {f"base_model.model.{FIRST}.lora_magnitude_vector": np.ones(128, np.float32)}
            )
        ),
        Claim("use_dora is false, but its lora magnitude_vector comes along", FIRST),
    ),
}
"""Name -> how to break a sound folder, and what the refusal must say."""
