"""How far two adapters are from each other, module by module, without ever making a full matrix.

With D = s·B·A, the inner product of two updates is s1·s2·sum((B1ᵀB2) * (A1A2ᵀ)): products of rank by rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import LoraPair
from lorayard_shared.adapters.open_weights import OpenWeights, Values, widened

SLICE = 8192
"""Features at once: two sides of rank 256 take 32 MiB then, though an embedding may have 262,144 of them."""

ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""Of squared norms: a difference below that (1.2e-7 of the norm) is what adding up leaves, and told as 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleDiff:
    """One module of two adapters."""

    module: str
    first_norm: float | None
    """Frobenius norm of scale·B·A; None: the adapter does not change the module."""
    second_norm: float | None
    change: float | None
    """Norm of the difference by the first norm; None: one side is missing or zero, or has another shape."""
    cosine: float | None
    """Of the angle between the two; None as for `change`, and where the second is zero."""
    note: str = ""
    """What the numbers leave out."""

    @property
    def weight(self) -> float:
        """By which the most changed comes first: what has no measure has changed altogether."""
        return math.inf if self.change is None else self.change


def compare(first: OpenWeights, second: OpenWeights) -> Iterator[ModuleDiff]:
    """Every module of either, by name. Raises AdapterRefusedError for values that are not finite."""
    for module in sorted({*first.pairs, *second.pairs}):
        yield _compared(module, first, second)


def _compared(module: str, first: OpenWeights, second: OpenWeights) -> ModuleDiff:
    one, other = first.pairs.get(module), second.pairs.get(module)
    if one is None or other is None or _sizes(one) != _sizes(other):
        return ModuleDiff(
            module=module,
            first_norm=None if one is None else math.sqrt(_square(first, module, one)),
            second_norm=None if other is None else math.sqrt(_square(second, module, other)),
            change=None,
            cosine=None,
            note="" if one is None or other is None else f"{_sizes(one)} is now {_sizes(other)}",
        )
    products = _products(first, one, second, other)
    rank = one.rank
    squares = (
        _checked(first, module, one.scale**2 * float(products[:rank, :rank].sum())),
        _checked(second, module, other.scale**2 * float(products[rank:, rank:].sum())),
    )
    inner = one.scale * other.scale * float(products[:rank, rank:].sum())
    return _measured(module, squares, inner, _left_out(one, other))


def _measured(module: str, squares: tuple[float, float], inner: float, left_out: list[str]) -> ModuleDiff:
    """From squared norms and the inner product."""
    first, second = squares
    apart = first + second - 2 * inner
    apart = 0.0 if apart <= ROUNDING * (first + second) else apart
    both = math.sqrt(first) * math.sqrt(second)
    return ModuleDiff(
        module=module,
        first_norm=math.sqrt(first),
        second_norm=math.sqrt(second),
        change=math.sqrt(apart / first) if first else (None if second else 0.0),
        cosine=max(-1.0, min(1.0, inner / both)) if both else None,
        note=f"B·A alone, without its {' and '.join(left_out)}" if left_out else "",
    )


def _sizes(pair: LoraPair) -> list[int]:
    """Of the matrix that it changes: out, in."""
    return [pair.b.shape[0], pair.a.shape[1]]


def _left_out(one: LoraPair, other: LoraPair) -> list[str]:
    """What the modules have beside A and B: a DoRA's magnitude, a bias."""
    return sorted({name for pair in (one, other) for name, _ in pair.vectors})


def _square(side: OpenWeights, module: str, pair: LoraPair) -> float:
    """The squared norm of one update."""
    products = _gram(side.read(pair.b)) * _gram(side.read(pair.a).T)
    return _checked(side, module, pair.scale**2 * float(products.sum()))


def _products(first: OpenWeights, one: LoraPair, second: OpenWeights, other: LoraPair) -> Values:
    """Of both updates with both, without their scales: [rank + rank, rank + rank], to be summed by blocks."""
    up = _gram(first.read(one.b), second.read(other.b))
    return up * _gram(first.read(one.a).T, second.read(other.a).T)


def _gram(*sides: NDArray[Any]) -> Values:
    """XᵀX in float64 for the sides' [features, rank] beside each other."""
    width = sum(side.shape[1] for side in sides)
    total: Values = np.zeros((width, width))
    for start in range(0, sides[0].shape[0], SLICE):
        part = np.concatenate([widened(side[start : start + SLICE]) for side in sides], axis=1)
        total += part.T @ part
    return total


def _checked(side: OpenWeights, module: str, square: float) -> float:
    if not math.isfinite(square):
        reason = f"{module}: has values that are not finite, or too large to be compared"
        raise AdapterRefusedError(side.path, reason, module=module)
    return max(0.0, square)
