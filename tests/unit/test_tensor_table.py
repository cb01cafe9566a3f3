"""The header of a safetensors file: judged as by the format's own reader, and no tensor lies askew."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_shared.adapters.finite import check_finite
from lorayard_shared.adapters.tensor_table import ITEM_BYTES, TableError, TwinError, tensor_table
from lorayard_workers.tiny_model import make_tiny_adapter

Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]
MUTATIONS = 3000
ODD_VALUES: list[Any] = [0, 1, -1, 3, 16, True, None, "x", 1.0, 2**63, 2**64, [], {}, [1], [4, 4], [2, 8]]
ODD_TYPES: list[Any] = ["F32", "F16", "BF16", "X", 1, None, []]


def file_of(header: object, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def parts_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    stop = 8 + struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:stop]), data[stop:]


def small_file() -> bytes:
    return save(
        {
            f"t{i}": np.arange(4 * i, dtype=np.float16 if i % 2 else np.float32).reshape(i, 4)
            for i in range(5)
        },
        metadata={"format": "pt"},
    )


def mutated(data: bytes, random: Random) -> bytes:
    way = random.random()
    if way < 0.15:
        return data[: random.randrange(len(data))]
    if way < 0.4:
        changed = bytearray(data)
        changed[random.randrange(len(data))] = random.randrange(256)
        return bytes(changed)
    header, body = parts_of(data)
    name = random.choice(list(header))
    entry: dict[str, Any] = header[name]
    key = random.choice(list(entry))
    if way < 0.5:
        header[name] = random.choice(ODD_VALUES)
    elif way < 0.6:
        del entry[key]
    elif isinstance(entry[key], list) and way < 0.9:
        entry[key][random.randrange(len(entry[key]))] = random.choice(ODD_VALUES)
    else:
        entry[key] = random.choice(ODD_TYPES if key == "dtype" else ODD_VALUES)
    return file_of(header, body)


def read_by_the_formats_reader(data: bytes) -> Tensors | None:
    try:
        found = cast("list[tuple[str, Any]]", safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001  # its error type is private
        return None
    return {name: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for name, t in found}


def read_by_us(data: bytes) -> Tensors | None:
    try:
        table = tensor_table(memoryview(data))
    except TableError:
        return None
    return {name: (e.dtype, e.shape, data[e.start : e.stop]) for name, e in table.items()}


def test_a_header_is_judged_as_by_the_formats_own_reader__g3_g5() -> None:
    random, sound = Random(4), small_file()
    assert read_by_us(sound) == read_by_the_formats_reader(sound)
    accepted = 0
    for _ in range(MUTATIONS):
        data = mutated(sound, random)
        ours, theirs = read_by_us(data), read_by_the_formats_reader(data)
        if ours is not None and {dtype for dtype, _, _ in ours.values()} <= ITEM_BYTES.keys():
            assert ours == theirs, data  # a type that no adapter has is refused by its name
            accepted += 1
        elif theirs is not None:
            assert ours is not None, data
    assert 0 < accepted < MUTATIONS / 2


@pytest.mark.parametrize(
    "header",
    ['{"a": 1, "a": 1}', '{"a": {"dtype": "F32", "dtype": "F16", "shape": [], "data_offsets": [0, 0]}}'],
)
def test_a_name_that_comes_twice_is_refused_by_its_own_error__g5(header: str) -> None:
    with pytest.raises(TwinError, match=r"names '(a|dtype)' twice"):
        tensor_table(memoryview(struct.pack("<Q", len(header)) + header.encode()))


def test_a_shape_of_a_million_large_axes_is_refused_at_once__g5() -> None:
    entry = {"dtype": "F32", "shape": [2**62] * 1_000_000, "data_offsets": [0, 4]}
    with pytest.raises(TableError, match="a: its shape needs"):
        tensor_table(memoryview(file_of({"a": entry}, b"\0" * 4)))


def longer_header(spaces: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        header, body = parts_of(data)
        text = json.dumps(header).encode() + b" " * spaces
        return struct.pack("<Q", len(text)) + text + body

    return change


@pytest.mark.parametrize("spaces", range(4))
def test_an_adapter_whose_values_lie_between_two_addresses_is_read_as_any_other__c8(
    tmp_path: Path, spaces: int
) -> None:
    """The format does not ask for an even header."""
    folder = make_tiny_adapter(tmp_path / "adapter", seed=1)
    wanted = adapter_digest(read_adapter(folder))
    path = folder / "adapter_model.safetensors"
    path.write_bytes(longer_header(spaces)(path.read_bytes()))
    found = read_adapter(folder)
    check_finite(found)
    assert adapter_digest(found) == wanted
    for pair in found.pairs.values():
        for raw in (pair.a, pair.b):
            assert np.frombuffer(raw.data, dtype=np.float32).flags.aligned
