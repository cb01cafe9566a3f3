"""What the forms of the multi-LoRA product cost on this machine, from a few measured points. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Corners:
    """Milliseconds for few and many tokens, few and many columns; between and beyond, bilinear."""

    tokens: tuple[int, int]
    columns: tuple[int, int]
    few_few: float
    few_many: float
    many_few: float
    many_many: float

    def __post_init__(self) -> None:
        if self.tokens[0] >= self.tokens[1] or self.columns[0] >= self.columns[1]:
            raise ValueError(f"corners {self.tokens} x {self.columns}: both must rise")

    def at(self, tokens: int, columns: int) -> float:
        """The estimate, never below zero."""
        down = (tokens - self.tokens[0]) / (self.tokens[1] - self.tokens[0])
        right = (columns - self.columns[0]) / (self.columns[1] - self.columns[0])
        few = self.few_few + right * (self.few_many - self.few_few)
        many = self.many_few + right * (self.many_many - self.many_few)
        return max(0.0, few + down * (many - few))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraCosts:
    """Of one pass through the same groups: only how they compare counts."""

    dense: Corners  # all tokens against all columns up to the highest in use
    bundle: Corners  # neighbouring adapters of one rank: by their padded tokens and columns


USUAL_COSTS = LoraCosts(
    dense=Corners(
        tokens=(2, 16), columns=(16, 128), few_few=8.5, few_many=26.0, many_few=10.0, many_many=30.0
    ),
    bundle=Corners(
        tokens=(16, 64), columns=(16, 128), few_few=11.0, few_many=23.0, many_few=28.0, many_many=37.0
    ),
)
"""Of Gemma 3 270M in bf16 on one core with AVX-512: for callers that measure nothing themselves."""
