"""Some rows of one tensor of a model's weights, read without loading the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.adapters.tensor_table import LENGTH_BYTES, MAX_HEADER_BYTES

_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class WeightsFileError(ValueError):
    """The weights cannot be read as they are."""


def read_rows(folder: Path, endings: Sequence[str], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Rows [n, width] of the one matrix whose name has one of these endings. Raises WeightsFileError."""
    try:
        path, name = _find(folder, endings)
        header, first = _header(path)
        claim = header[name]
        dtype, shape, (start, stop) = str(claim["dtype"]), tuple(claim["shape"]), claim["data_offsets"]
        if dtype not in _TYPES or len(shape) != 2:
            raise WeightsFileError(
                f"{name} is {dtype:.20} {shape}; a matrix of {', '.join(_TYPES)} is needed"
            )
        kind = np.dtype(_TYPES[dtype])
        if stop - start != shape[0] * shape[1] * kind.itemsize or first + stop > path.stat().st_size:
            raise WeightsFileError(f"{name}: shape {shape} does not fit its bytes, or {path.name} is cut off")
        if len(rows) and int(rows.max()) >= shape[0]:
            raise WeightsFileError(f"{name} has {shape[0]} rows, the tokenizer more")
        matrix: NDArray[Any] = np.memmap(path, kind, "r", first + start, shape)
        return _floats(matrix[rows], dtype)
    except OSError as error:
        raise WeightsFileError(f"cannot be read: {error}") from None
    except (KeyError, TypeError) as error:
        raise WeightsFileError(f"its weights' header cannot be read: {error!r:.150}") from None


def _find(folder: Path, endings: Sequence[str]) -> tuple[Path, str]:
    """The file that holds the tensor, and the tensor's name."""
    names: dict[str, str]
    if (folder / _INDEX).is_file():
        names = _parsed((folder / _INDEX).read_bytes(), _INDEX)["weight_map"]
    else:
        names = dict.fromkeys(_header(folder / _FILE)[0], _FILE)
    found = [name for name in names if name.endswith(tuple(endings))]
    if len(found) != 1:
        raise WeightsFileError(f"{len(found)} tensors are called *{' or *'.join(endings)}; one is needed")
    if "/" in names[found[0]]:
        raise WeightsFileError(f"{_INDEX} names {names[found[0]]!r:.80}, which is no file of the folder")
    return folder / names[found[0]], found[0]


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The file's table, and where the numbers begin."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > MAX_HEADER_BYTES:
            raise WeightsFileError(
                f"{path.name}: its header has {length} bytes, more than {MAX_HEADER_BYTES}"
            )
        return _parsed(file.read(length), path.name), LENGTH_BYTES + length


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WeightsFileError(f"{name}: no JSON: {error!s:.150}") from None
    if not isinstance(found, dict):
        raise WeightsFileError(f"{name}: no JSON object")
    return cast("dict[str, Any]", found)


def _floats(values: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    if dtype == "BF16":  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
