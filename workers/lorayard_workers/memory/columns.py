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
    """The weighted sum of adapters that lie in slots: no copy, no merge. Added up in the order of `parts`."""
    found = list(parts)
    if len(found) == 1 and found[0][1] == 1.0:
        return found[0][0]
    pairs = [(column, weight) for columns, weight in found for column in columns]
    return Blend(columns=tuple(column for column, _ in pairs), weights=tuple(weight for _, weight in pairs))


def columns_of(use: Use) -> Columns:
    """The columns alone."""
    return use.columns if isinstance(use, Blend) else use


def weights_of(use: Use) -> tuple[float, ...] | None:
    """A value for each column; None where all are 1."""
    return use.weights if isinstance(use, Blend) else None


def are_neighbours(columns: Columns) -> bool:
    """Whether each is the next after the one before."""
    return columns == tuple(range(columns[0], columns[0] + len(columns)))


def is_plain(use: Use) -> bool:
    """One adapter at full strength, in columns without a gap: the common case, and the fast one."""
    return not isinstance(use, Blend) and are_neighbours(use)


def use_order(use: Use | None) -> tuple[int, int, Columns, tuple[float, ...]]:
    """Sorts rows that use the same columns next to each other.

    Plain ones first, then those in several parts, then sums, each by rank.
    """
    if use is None:
        return 3, 0, (), ()
    columns = columns_of(use)
    kind = 2 if isinstance(use, Blend) else int(not is_plain(use))
    return kind, len(columns), columns, weights_of(use) or ()
