"""Whether an adapter's values are numbers that every served type can hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import AdapterFile, RawTensor

_BF16_LARGEST = float(np.uint32(0x7F7F0000).view(np.float32))
"""Of the narrowest range that a model is served in: what is larger would become infinite there."""


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
