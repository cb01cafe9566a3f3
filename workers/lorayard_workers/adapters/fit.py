"""Whether a readable adapter fits the base model and is safe to batch with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lorayard_workers.adapters.files import AdapterFile, RawTensor
from lorayard_workers.adapters.selection import selected
from lorayard_workers.adapters.wide import NO_WIDE, WideRoom
from lorayard_workers.errors import AdapterRefusedError, CapacityError

Shapes = Mapping[str, tuple[int, int]]
"""The base model's linears: module name -> (out, in)."""

_BF16_LARGEST = float(np.uint32(0x7F7F0000).view(np.float32))
"""Of the narrowest range that a model is served in: what is larger would become infinite there."""


def check_fits(adapter: AdapterFile, linears: Shapes, wide: WideRoom = NO_WIDE) -> None:
    """Each tensor has a module of the right shape and kind, and each target its tensors.

    `wide` says what may be brought for the embedding and the head. Raises AdapterRefusedError, or
    CapacityError for more of that than there is room for.
    """
    shapes = {**linears, **{module.name: module.shape for module in wide.modules}}
    unknown = [module for module in adapter.pairs if module not in shapes]
    if len(unknown) == len(adapter.pairs):
        raise AdapterRefusedError(
            adapter.path,
            f"none of its {len(unknown)} modules is a linear layer of the base model's decoder "
            f"(first: {unknown[0]}; the model has e.g. {next(iter(shapes), 'none')})",
            module=unknown[0],
        )
    if unknown:
        raise AdapterRefusedError(
            adapter.path,
            f"{unknown[0]}: not a linear layer of the base model's decoder "
            f"({len(unknown)} of {len(adapter.pairs)} modules are unknown)",
            module=unknown[0],
        )
    for module in adapter.pairs:
        _check_shape(adapter, module, shapes[module])
    wide.check(adapter)
    _check_selected(adapter, linears, [module.name for module in wide.modules])


def check_rank(adapter: AdapterFile, max_rank: int) -> None:
    """The largest rank is one the worker was set up for. Raises CapacityError."""
    if adapter.rank > max_rank:
        raise CapacityError(
            f"adapter {adapter.path} (rank)",
            needed=adapter.rank,
            limit=max_rank,
            setting="max_rank",
        )


def check_finite(adapter: AdapterFile) -> None:
    """No NaN and no infinity, before and after scaling: in a mixed batch 0 x NaN would reach other rows."""
    if _is_calm(adapter):
        return
    for module, pair in adapter.pairs.items():
        vectors = [(name, tensor, pair.scale) for name, tensor in pair.vectors]
        for side, tensor, scale in (("A", pair.a, 1.0), ("B", pair.b, pair.scale), *vectors):
            largest = _largest(tensor.dtype, tensor.data)
            if largest is None:
                raise AdapterRefusedError(
                    adapter.path,
                    f"{module}: lora_{side} has {_count_non_finite(tensor)} values that are not finite",
                    module=module,
                )
            if largest * scale > _BF16_LARGEST:
                raise AdapterRefusedError(
                    adapter.path,
                    f"{module}: lora_{side} overflows: its largest value {largest:g} times the scale "
                    f"{scale:g} is more than {_BF16_LARGEST:g}",
                    module=module,
                )


def _check_shape(adapter: AdapterFile, module: str, shape: tuple[int, int]) -> None:
    pair, (out_features, in_features) = adapter.pairs[module], shape
    if pair.a.shape[1] != in_features or pair.b.shape[0] != out_features:
        raise AdapterRefusedError(
            adapter.path,
            f"{module}: the base layer is [{out_features}, {in_features}], but lora_A is "
            f"{list(pair.a.shape)} and lora_B is {list(pair.b.shape)}",
            module=module,
        )


def _check_selected(adapter: AdapterFile, linears: Shapes, others: Sequence[str]) -> None:
    """Tensors and configuration name the same modules: PEFT would ignore what is not selected."""
    try:
        wanted = selected(adapter.config, linears, others)
    except ValueError as error:
        raise AdapterRefusedError(adapter.path, f"adapter_config.json: {error}") from None
    if wanted is None:
        return
    extra = [module for module in adapter.pairs if module not in wanted]
    if extra:
        raise AdapterRefusedError(
            adapter.path,
            f"{extra[0]}: has tensors, but adapter_config.json's target_modules and layers do not select it "
            f"({len(extra)} of {len(adapter.pairs)} modules)",
            module=extra[0],
        )
    missing = sorted(wanted - adapter.pairs.keys())
    if missing:
        raise AdapterRefusedError(
            adapter.path,
            f"{missing[0]}: a target without tensors ({len(missing)} of {len(wanted)} targets)",
            module=missing[0],
        )


def _is_calm(adapter: AdapterFile) -> bool:
    """Whether even its largest value times its largest scale is sound: one look at the whole file."""
    strongest = max(1.0, *(pair.scale for pair in adapter.pairs.values()))
    by_type: dict[str, list[RawTensor]] = {}
    for pair in adapter.pairs.values():
        for tensor in pair.tensors:
            by_type.setdefault(tensor.dtype, []).append(tensor)
    for dtype, tensors in by_type.items():
        for run in adapter.runs(sorted(tensors, key=lambda tensor: tensor.start or 0)):
            largest = _largest(dtype, run)
            if largest is None or largest * strongest > _BF16_LARGEST:
                return False
    return True


_BITS: Mapping[str, tuple[str, int, int]] = {
    "F32": ("4", 0x7FFFFFFF, 0x7F800000),
    "BF16": ("2", 0x7FFF, 0x7F80),
    "F16": ("2", 0x7FFF, 0x7C00),
}
"""Bytes of a value; its bits without the sign, which order as the values do; those of infinity: NaNs are
larger."""


def _largest(dtype: str, data: memoryview) -> float | None:
    """The largest absolute value; None if any is not finite."""
    width, mask, infinity = _BITS[dtype]
    positive = int(np.frombuffer(data, dtype=f"<i{width}").max(initial=0))
    negative = int(np.frombuffer(data, dtype=f"<u{width}").max(initial=0))  # a positive one if there is none
    top = max(positive, negative & mask)
    if top >= infinity:
        return None
    if dtype == "F16":
        return float(np.uint16(top).view(np.float16))
    return float(np.uint32(top if dtype == "F32" else top << 16).view(np.float32))


def _count_non_finite(tensor: RawTensor) -> int:
    width, mask, infinity = _BITS[tensor.dtype]
    bits: NDArray[np.unsignedinteger] = np.frombuffer(tensor.data, dtype=f"<u{width}")
    return int(np.count_nonzero((bits & bits.dtype.type(mask)) >= infinity))
