"""How the base model's linears are grouped: members of a group read the same input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

RANK_PAGE = 8
"""Ranks are padded to pages of this many columns: the common ranks are multiples of it, and bf16 GEMMs
want multiples of 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLayout:
    """Linears that run as one: q, k and v; gate and up; or a single one."""

    members: tuple[str, ...]  # module names, in the order of their outputs
    in_features: int
    out_features: tuple[int, ...]

    @property
    def widths(self) -> Iterator[tuple[str, int]]:
        """Members and their outputs."""
        return zip(self.members, self.out_features, strict=True)


def padded_rank(rank: int) -> int:
    """Columns that a rank takes in a device slot."""
    return -(-rank // RANK_PAGE) * RANK_PAGE


def linear_shapes(layouts: Sequence[GroupLayout]) -> Mapping[str, tuple[int, int]]:
    """Module name -> (out, in) for every linear of the groups."""
    return {member: (width, layout.in_features) for layout in layouts for member, width in layout.widths}
