"""Which columns of the device's LoRA tensors a row uses, and how strongly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Columns = tuple[int, ...]
"""One adapter at full strength, in ascending order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Columns of several adapters, or of one at another strength; `weights` has one value for each column."""

    columns: Columns
    weights: tuple[float, ...]


Use = Columns | Blend


def blend(parts: Iterable[tuple[Columns, float]]) -> Use:
    """The weighted sum of adapters that lie in slots: no copy, no merge."""
    pairs = [(column, weight) for columns, weight in parts for column in columns]
    pairs.sort()
    columns = tuple(column for column, _ in pairs)
    if all(weight == 1.0 for _, weight in pairs):
        return columns
    return Blend(columns=columns, weights=tuple(weight for _, weight in pairs))


def columns_of(use: Use) -> Columns:
    """The columns alone."""
    return use.columns if isinstance(use, Blend) else use


def weights_of(use: Use) -> tuple[float, ...] | None:
    """A value for each column; None where all are 1."""
    return use.weights if isinstance(use, Blend) else None


def use_order(use: Use | None) -> tuple[Columns, tuple[float, ...]]:
    """Sorts rows that use the same columns next to each other."""
    return (columns_of(use), weights_of(use) or ()) if use is not None else ((), ())
