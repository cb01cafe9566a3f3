"""An adapter's folder whose weights are read tensor by tensor: memory for one module, however large the file.

For those who only look. What is to be served is read whole and judged there (`files.read_adapter`).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.adapters.config import AdapterConfig, read_config
from lorayard_shared.adapters.errors import AdapterRefusedError, NotPlainFileError, no_folder
from lorayard_shared.adapters.files import (
    WEIGHTS_NAME,
    LoraPair,
    RawTensor,
    check_type,
    pair_tensors,
    parse_table,
    why_no_weights,
)
from lorayard_shared.adapters.plain_file import open_plain_file
from lorayard_shared.adapters.prompt_template import read_prompt_template
from lorayard_shared.adapters.tensor_table import ITEM_BYTES, LENGTH_BYTES, MAX_HEADER_BYTES, TensorEntry

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWeights:
    """An adapter's configuration and shapes, and a handle to its values."""

    path: Path
    config: AdapterConfig
    pairs: Mapping[str, LoraPair]
    """Module name -> update; its tensors have a shape and a place, and no bytes."""
    prompt_template: str | None
    _handle: int

    def read(self, tensor: RawTensor) -> NDArray[np.generic]:
        """A tensor's values as they lie in the file; `widened` makes numbers of them.

        Raises AdapterRefusedError: the file was changed since it was opened.
        """
        assert tensor.start is not None, "it was made from the table"
        size = ITEM_BYTES[tensor.dtype] * int(np.prod(tensor.shape, dtype=np.int64))
        data = bytearray(size)
        filled = 0
        while filled < size and (
            count := os.preadv(self._handle, [memoryview(data)[filled:]], tensor.start + filled)
        ):
            filled += count
        if filled < size:
            raise AdapterRefusedError(self.path, f"{WEIGHTS_NAME} changed while it was read")
        return np.frombuffer(data, dtype=_STORED[tensor.dtype]).reshape(tensor.shape)


_STORED = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""As numpy reads it; it has no bfloat16."""


def widened(stored: NDArray[np.generic]) -> Values:
    """Numbers of what `OpenWeights.read` gave, exactly."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    return stored.astype(np.float64)


@contextmanager
def open_weights(folder: Path) -> Generator[OpenWeights]:
    """Judge configuration and header, and keep the file open. Raises AdapterRefusedError."""
    if not folder.is_dir():
        raise no_folder(folder)
    config = read_config(folder)
    try:
        handle, state = open_plain_file(folder / WEIGHTS_NAME)
    except FileNotFoundError:
        raise AdapterRefusedError(folder, why_no_weights(folder)) from None
    except NotPlainFileError:
        raise AdapterRefusedError(folder, f"{WEIGHTS_NAME} is not a regular file") from None
    except OSError as error:
        raise AdapterRefusedError(folder, f"{WEIGHTS_NAME} cannot be read: {error.strerror}") from None
    try:
        table = parse_table(folder, _head(handle), state.st_size)
        tensors = {name: _placed(folder, name, entry) for name, entry in table.items()}
        pairs, _ = pair_tensors(folder, config, tensors)
        yield OpenWeights(
            path=folder,
            config=config,
            pairs=pairs,
            prompt_template=read_prompt_template(folder),
            _handle=handle,
        )
    finally:
        os.close(handle)


def _head(handle: int) -> memoryview:
    """The header with its length, as far as one may be long."""
    length = int.from_bytes(os.pread(handle, LENGTH_BYTES, 0), "little")
    return memoryview(os.pread(handle, LENGTH_BYTES + min(length, MAX_HEADER_BYTES), 0))


def _placed(folder: Path, name: str, entry: TensorEntry) -> RawTensor:
    check_type(folder, name, entry)
    return RawTensor(dtype=entry.dtype, shape=entry.shape, data=memoryview(b""), start=entry.start)
