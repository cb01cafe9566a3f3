"""Whether a readable adapter fits the base model and is safe to batch with others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lorayard_workers.adapters.files import AdapterFile, RawTensor
from lorayard_workers.errors import AdapterRefusedError, CapacityError

Shapes = Mapping[str, tuple[int, int]]
"""The base model's linears: module name -> (out, in)."""

_BF16_EXPONENT = np.uint16(0x7F80)  # all ones: infinity or NaN


def check_fits(adapter: AdapterFile, shapes: Shapes) -> None:
    """Each tensor has a module of the right shape, and each target its tensors."""
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
    _check_complete(adapter, shapes)


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
    """No NaN and no infinity: in a mixed batch 0 x NaN would reach other rows."""
    for module, pair in adapter.pairs.items():
        for side, tensor in (("A", pair.a), ("B", pair.b)):
            bad = _count_non_finite(tensor)
            if bad:
                raise AdapterRefusedError(
                    adapter.path,
                    f"{module}: lora_{side} has {bad} values that are not finite",
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


def _check_complete(adapter: AdapterFile, shapes: Shapes) -> None:
    if not adapter.config.selects_by_name_only:
        return
    wanted = [module for module in shapes if adapter.config.targets(module)]
    missing = [module for module in wanted if module not in adapter.pairs]
    if missing:
        raise AdapterRefusedError(
            adapter.path,
            f"{missing[0]}: a target without tensors ({len(missing)} of {len(wanted)} targets)",
            module=missing[0],
        )


def _count_non_finite(tensor: RawTensor) -> int:
    if tensor.dtype == "BF16":
        bits: NDArray[np.uint16] = np.frombuffer(tensor.data, dtype="<u2")
        return int(np.count_nonzero((bits & _BF16_EXPONENT) == _BF16_EXPONENT))
    kind = "<f4" if tensor.dtype == "F32" else "<f2"
    return int(np.count_nonzero(~np.isfinite(np.frombuffer(tensor.data, dtype=kind))))
