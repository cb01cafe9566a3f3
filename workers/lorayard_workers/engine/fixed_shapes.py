"""The shapes of a step in deterministic mode: none of them lets a row's rounding depend on its company.

Steady, where `steady_check` has found that products give a row the same bits however many share them: then
all rows share them, as they always do, with counts rounded up to those that were tried. Not steady: single
tokens share forwards of one size, and every longer run has one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorayard_workers.engine.kernels import MANY_ROWS

TOKENS = 4
"""Counts are multiples of it: a product of one token has a kernel of its own, which rounds in its own way."""

COLUMNS = 32
"""The same for LoRA columns, of which there may be a thousand; or all of them."""

MAX_TOKENS = MANY_ROWS - TOKENS
"""Of a steady forward: products of more may be rounded in another way, and are hardly cheaper apiece."""

MAX_LOGIT_ROWS = 16
"""Of one steady product with the output projection: each count up to it is tried."""

_RUN_TOKENS = 16
"""A run's own forward has a multiple of so many: products of fewer often have kernels of their own, and more
would be padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Some pieces of a step, computed at once, and with how many tokens: those left over are nobody's."""

    pieces: tuple[int, ...]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedShapes:
    """See the module docstring."""

    rows: int
    """That run at once, at most."""
    columns: int
    """Of LoRA, that there are."""
    steady: bool
    dense: bool
    """Whether single tokens meet all LoRA columns at once; else each is multiplied by itself."""

    def forwards(self, tokens: Sequence[int]) -> list[Forward]:
        """How to run pieces of so many tokens each."""
        if self.steady:
            return [
                Forward(pieces=part, tokens=steady_tokens(sum(tokens[i] for i in part)))
                for part in _cut(tokens)
            ]
        singles = tuple(i for i, count in enumerate(tokens) if count == 1)
        runs = [
            Forward(pieces=(i,), tokens=-(-count // _RUN_TOKENS) * _RUN_TOKENS)
            for i, count in enumerate(tokens)
            if count > 1
        ]
        return [*([Forward(pieces=singles, tokens=self.rows)] if singles else []), *runs]

    @property
    def most_logit_rows(self) -> int:
        """Of one product with the output projection."""
        return MAX_LOGIT_ROWS if self.steady else self.rows

    def logit_rows(self, wanted: int) -> int:
        """With how many rows it runs."""
        return steady_tokens(wanted) if self.steady else self.rows

    def lora_tokens(self, count: int) -> int:
        """With how many tokens a steady LoRA product of `count` runs."""
        return steady_tokens(count)

    def lora_columns(self, count: int) -> int:
        """With how many columns, from the first on, a steady LoRA product of `count` runs."""
        return min(self.columns, -(-count // COLUMNS) * COLUMNS)


def steady_tokens(count: int) -> int:
    """Rounded up."""
    return -(-count // TOKENS) * TOKENS


def _cut(tokens: Sequence[int]) -> list[tuple[int, ...]]:
    """Neighbours together, up to `MAX_TOKENS`; none of them alone has more."""
    parts: list[list[int]] = []
    room = 0
    for piece, count in enumerate(tokens):
        if count > room:
            parts.append([])
            room = MAX_TOKENS
        parts[-1].append(piece)
        room -= count
    return [tuple(part) for part in parts]
