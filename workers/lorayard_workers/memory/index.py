"""What a packed adapter consists of, as JSON beside flat sections of values: one section per type.

Any tree of tensors, tuples, mappings, plain values and the dataclasses named in `KINDS` can be written,
so a new kind of adapter needs no new format. Tensors lie in their section in the order of the tree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast

import torch
from torch import Tensor

from lorayard_workers.memory.packing import GroupWeights, HostAdapter, WideWeights
from lorayard_workers.memory.quantized import QuantizedGroup, QuantizedGroups, QuantizedTensor

Json = Any
"""Whatever `json` takes: nested lists and dicts of plain values."""

KINDS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (HostAdapter, GroupWeights, WideWeights, QuantizedGroups, QuantizedGroup, QuantizedTensor)
}
_TYPES = {str(t).rpartition(".")[2]: t for t in (torch.float32, torch.float16, torch.bfloat16, torch.int8)}
_NAMES = {t: name for name, t in _TYPES.items()}
_PLAIN = (bool, int, float, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A tree taken apart: what it is, and its values by type, largest items first."""

    tree: Json
    sections: Mapping[str, Tensor]  # type -> [values], flat


def index(adapter: HostAdapter) -> Indexed:
    """Take an adapter apart. Raises TypeError for a kind of content that has no place in a file yet."""
    found: dict[str, list[Tensor]] = {}
    tree = _encode(adapter, found)
    sections = {name: torch.cat(found[name]) for name in sorted(found, key=_largest_first)}
    return Indexed(tree=tree, sections=sections)


def restore(tree: Json, sections: Mapping[str, Tensor]) -> HostAdapter:
    """Put an adapter together; its tensors are views of the sections.

    Raises ValueError, TypeError, KeyError or IndexError if the two don't belong together.
    """
    sizes: dict[str, list[int]] = {}
    _sizes(tree, sizes)
    if sizes.keys() != sections.keys():
        raise ValueError(f"the index wants {sorted(sizes)}, the sections are {sorted(sections)}")
    parts = {name: iter(_split(name, sections[name], sizes[name])) for name in sizes}
    adapter = _decode(tree, parts)
    if not isinstance(adapter, HostAdapter):
        raise TypeError(f"the index describes a {type(adapter).__name__}, not an adapter")
    return adapter


def section_type(name: str) -> torch.dtype:
    """The type of a section's values. Raises KeyError."""
    return _TYPES[name]


def _largest_first(name: str) -> tuple[int, str]:
    """Sections of a file follow each other without gaps: so every one starts at a multiple of its items."""
    return -_TYPES[name].itemsize, name


def _encode(value: object, found: dict[str, list[Tensor]]) -> Json:
    if isinstance(value, Tensor):
        name = _NAMES.get(value.dtype)
        if name is None:
            raise TypeError(f"tensors of {value.dtype} are not kept in files")
        found.setdefault(name, []).append(value.reshape(-1))
        return ["t", name, list(value.shape)]
    if value is None or type(value) in _PLAIN:  # an Enum would come back as a mere string
        return value
    if isinstance(value, torch.dtype):
        return ["y", _NAMES[value]]
    if isinstance(value, tuple):
        return ["l", [_encode(item, found) for item in cast("tuple[object, ...]", value)]]
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return ["m", {key: _encode(item, found) for key, item in items}]
    return _encode_kind(value, found)


def _encode_kind(value: object, found: dict[str, list[Tensor]]) -> Json:
    name = type(value).__name__
    if not is_dataclass(value) or KINDS.get(name) is not type(value):
        raise TypeError(f"a {name} is not kept in files")
    return ["d", name, {f.name: _encode(getattr(value, f.name), found) for f in fields(value)}]


def _node(tree: Json) -> list[Json]:
    """What stands at a place of the tree; plain values stand for themselves."""
    node: list[Json] = tree if isinstance(tree, list) else ["p"]  # pyright: ignore[reportUnknownVariableType]  # JSON
    return node


def _sizes(tree: Json, sizes: dict[str, list[int]]) -> None:
    kind, *rest = _node(tree)
    if kind == "t":
        name, shape = rest
        sizes.setdefault(name, []).append(math.prod(shape))
    elif kind == "l":
        for item in rest[0]:
            _sizes(item, sizes)
    elif kind in ("m", "d"):
        for item in rest[-1].values():
            _sizes(item, sizes)


def _split(name: str, section: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    if section.dtype != _TYPES[name] or sum(sizes) != section.numel():
        raise ValueError(f"section {name} has {section.numel()} values, the index wants {sum(sizes)}")
    return torch.split_with_sizes(section, list(sizes))


def _decode(tree: Json, parts: Mapping[str, Iterator[Tensor]]) -> Any:
    kind, *rest = _node(tree)
    if kind == "p":
        return tree
    if kind == "t":
        return next(parts[rest[0]]).view(rest[1])
    if kind == "l":
        return tuple(_decode(item, parts) for item in rest[0])
    if kind == "m":
        return {key: _decode(item, parts) for key, item in rest[0].items()}
    if kind == "y":
        return _TYPES[rest[0]]
    if kind == "d":
        return KINDS[rest[0]](**{key: _decode(item, parts) for key, item in rest[1].items()})
    raise ValueError(f"{kind!r} is no part of an index")
