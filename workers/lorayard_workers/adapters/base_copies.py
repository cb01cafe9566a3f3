"""Copies of base weights that come along with an adapter: taken if they are copies, and refused if not.

PEFT saves the embedding or head that an adapter targets beside its LoRA tensors. Loaded by PEFT they replace
the base model's, so one that was changed would serve every other adapter too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.adapters.files import RawTensor

_CHUNK = 1 << 22
"""Values compared at a time: an embedding of 168 million would otherwise take a gigabyte more."""

_BITS = {"F32": "<u4", "F16": "<u2", "BF16": "<u2"}
_LENGTH_BYTES = 8  # of a safetensors header, which follows


def values_that_differ(base_folder: Path, names: Sequence[str], tensor: RawTensor) -> int | None:
    """How many values are not the base model's, up to rounding to the narrower type.

    `names` are tried in turn, as a tied head has none of its own. None: there is no such weight, or it has
    another shape.
    """
    for name in names:
        for path in sorted(base_folder.glob("*.safetensors")):
            found = _mapped(path, name)
            if found is not None:
                dtype, shape, bits = found
                return _count(dtype, bits, tensor) if shape == tensor.shape else None
    return None


def _mapped(path: Path, name: str) -> tuple[str, tuple[int, ...], NDArray[Any]] | None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        entry: dict[str, Any] | None = json.loads(file.read(length)).get(name)
    if entry is None or entry["dtype"] not in _BITS:
        return None
    start, stop = entry["data_offsets"]
    bits = np.memmap(
        path, dtype=np.uint8, mode="r", offset=_LENGTH_BYTES + length + start, shape=stop - start
    )
    return entry["dtype"], tuple(entry["shape"]), bits.view(_BITS[entry["dtype"]])


def _count(dtype: str, bits: NDArray[Any], tensor: RawTensor) -> int:
    own: NDArray[Any] = np.frombuffer(tensor.data, dtype=_BITS[tensor.dtype])
    return sum(
        int(np.count_nonzero(_differ(dtype, bits[i : i + _CHUNK], tensor.dtype, own[i : i + _CHUNK])))
        for i in range(0, len(own), _CHUNK)
    )


def _differ(dtype: str, bits: NDArray[Any], own_dtype: str, own: NDArray[Any]) -> NDArray[np.bool_]:
    if {dtype, own_dtype} == {"F32", "BF16"}:
        bits, own = (_rounded(b) if kind == "F32" else b for kind, b in ((dtype, bits), (own_dtype, own)))
    elif dtype != own_dtype:
        bits, own = _floats(dtype, bits), _floats(own_dtype, own)
    differ: NDArray[np.bool_] = np.not_equal(bits, own)
    return differ


def _rounded(bits: NDArray[Any]) -> NDArray[Any]:
    """fp32 to bf16, to the nearest and on a tie to the even one, as torch does."""
    rounded: NDArray[Any] = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1)))) >> 16
    return rounded.astype(np.uint16)


def _floats(dtype: str, bits: NDArray[Any]) -> NDArray[Any]:
    if dtype == "F16":
        return bits.view(np.float16).astype(np.float32)
    wide: NDArray[Any] = bits if dtype == "F32" else bits.astype(np.uint32) << 16
    return wide.view(np.float32)
