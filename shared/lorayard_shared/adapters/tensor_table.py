"""The header of a safetensors file: which tensor lies where, judged as strictly as by the format's reader.

That reader copies every tensor while it holds the interpreter's lock, so that running rows would wait for
it; with the table, a tensor is a part of the bytes that were read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

LENGTH_BYTES = 8  # of the header, which follows
ITEM_BYTES: Mapping[str, int] = {"F32": 4, "F16": 2, "BF16": 2}
MAX_HEADER_BYTES = 40 << 20
"""65,536 tensors with the longest names; parsing that much takes a third of a second."""
_METADATA = "__metadata__"


class TableError(ValueError):
    """The header is not one, or does not agree with the file's length."""


class TwinError(TableError):
    """Two entries have one name: a reader keeps one, another reader perhaps the other."""

    def __init__(self, name: str) -> None:
        super().__init__(f"names {name!r:.200} twice")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """A tensor's type and shape as claimed; bytes `start` to `stop` of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def tensor_table(data: memoryview, size_bytes: int | None = None) -> dict[str, TensorEntry]:
    """The tensors of a whole file, which lie one behind the other and fill it. Raises TableError.

    `size_bytes`: of the file, where `data` is only its beginning, as far as the header goes.
    """
    size = len(data) if size_bytes is None else size_bytes
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    first = LENGTH_BYTES + length
    if size < LENGTH_BYTES or first > size:
        raise TableError("its header is cut off")
    if length > MAX_HEADER_BYTES:
        raise TableError(f"its header has {length} bytes, more than {MAX_HEADER_BYTES}")
    header = _parsed(bytes(data[LENGTH_BYTES:first]))
    _check_metadata(header.pop(_METADATA, None))
    table = {name: _entry(name, claim, first) for name, claim in header.items()}
    _check_filled(table, first, size)
    return table


def _check_metadata(found: object) -> None:
    """Nothing in it is used here, but other readers refuse what is not text by name."""
    texts: list[object] = [*cast("dict[str, object]", found).values()] if isinstance(found, dict) else [0]
    if found is not None and not all(isinstance(text, str) for text in texts):
        raise TableError("its metadata is not text by name")


def _parsed(text: bytes) -> dict[str, object]:
    try:
        header: object = json.loads(text.decode(), object_pairs_hook=_without_twins)
    except TwinError:
        raise
    except (ValueError, RecursionError) as error:
        raise TableError(f"its header is no JSON: {error!s:.150}") from None
    if not isinstance(header, dict):
        raise TableError("its header is no JSON object")
    return cast("dict[str, object]", header)


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise TwinError(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))
    return found


def _entry(name: str, claim: Any, first: int) -> TensorEntry:
    try:
        dtype, shape, (start, stop) = claim["dtype"], claim["shape"], claim["data_offsets"]
        sizes: tuple[int, ...] = (*shape, start, stop)
    except (TypeError, KeyError, ValueError):
        raise TableError(f"{name:.200}: no type, shape and offsets of a tensor") from None
    # No truth value, no fraction, and nothing that 64 bits cannot hold.
    if type(dtype) is not str or not all(type(size) is int and 0 <= size < 1 << 64 for size in sizes):
        raise TableError(f"{name:.200}: no type, shape and offsets of a tensor")
    return TensorEntry(dtype=dtype, shape=sizes[:-2], start=first + start, stop=first + stop)


def _check_filled(table: Mapping[str, TensorEntry], first: int, end: int) -> None:
    place = first
    for name, entry in sorted(table.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != place or entry.stop < place:
            raise TableError(f"{name:.200}: lies at {entry.start}-{entry.stop}, not from {place} on")
        place = entry.stop
        _check_size(name, entry)
    if place != end:
        raise TableError(f"its tensors end at {place}")


def _check_size(name: str, entry: TensorEntry) -> None:
    """The bytes are what shape and type say; for a type that no adapter has, nobody knows."""
    found = entry.stop - entry.start
    needed = ITEM_BYTES.get(entry.dtype, found)
    for axis in entry.shape if entry.dtype in ITEM_BYTES else ():
        needed *= axis
        if needed >= 1 << 64:
            raise TableError(f"{name:.200}: its shape needs more bytes than there are")
    if needed != found:
        raise TableError(f"{name:.200}: its shape needs {needed} bytes, but it has {found}")
