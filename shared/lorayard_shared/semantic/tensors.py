"""Arrays of a safetensors file, checked before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.adapters.tensor_table import TableError, TensorEntry, tensor_table
from lorayard_shared.semantic.errors import ArtifactError

_TYPES: Mapping[str, str] = {"F32": "<f4", "I8": "|i1"}
_LARGEST = 1e6
"""What was trained stays under a hundred; sums of larger numbers could become infinite."""


def read_tensors(data: bytes, file: str, wanted: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """The arrays, which share the memory of `data`. `wanted`: name -> type as the format spells it.

    Raises:
        ArtifactError: another name or type, a shape that does not fit, or a value out of all range.
    """
    try:
        table = tensor_table(memoryview(data))
    except TableError as error:
        raise ArtifactError(file, str(error)) from None
    if table.keys() != wanted.keys():
        raise ArtifactError(file, f"holds {sorted(table)!s:.200}, not {sorted(wanted)}")
    return {name: _array(data, file, name, table[name], dtype) for name, dtype in wanted.items()}


def _array(data: bytes, file: str, name: str, entry: TensorEntry, dtype: str) -> NDArray[Any]:
    if entry.dtype != dtype:
        raise ArtifactError(file, f"{name} is {entry.dtype:.20}, not {dtype}")
    kind = np.dtype(_TYPES[dtype])
    if prod(entry.shape) * kind.itemsize != entry.stop - entry.start:
        raise ArtifactError(file, f"{name}: shape {entry.shape} does not fit its bytes")
    found = np.frombuffer(data, kind, prod(entry.shape), entry.start).reshape(entry.shape)
    if dtype == "F32" and not bool((np.abs(found) <= _LARGEST).all()):
        raise ArtifactError(file, f"{name} holds values that are no numbers, or larger than {_LARGEST:g}")
    return found
