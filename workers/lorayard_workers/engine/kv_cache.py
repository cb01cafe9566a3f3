"""Keys and values of all rows: one slab per layer, [rows, length, kv heads, head width].

Rows in use are always 0..n-1, so a decode step reads one view without gathering. A released row is
zeroed: attention masks what a row must not see, but 0 x NaN is NaN, and a former row's overflow must
not reach the next one.
"""

from __future__ import annotations

import torch
from torch import Tensor

LENGTH_TILE = 64
"""Lengths are rounded up to this: attention's rounding then does not depend on neighbours' lengths by
the token."""

FIRST_TOKENS = 256
"""Length allocated at first; it doubles on demand, so short work takes little memory."""


class KvCache:
    """See the module docstring. `row_tokens` bounds the length of a row."""

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        row_tokens: int,
        kv_heads: int,
        head_width: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.row_tokens = row_tokens
        self._length = min(_tiles(FIRST_TOKENS), _tiles(row_tokens))
        shape = (rows, self._length, kv_heads, head_width)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]

    @staticmethod
    def token_bytes(layers: int, kv_heads: int, head_width: int, dtype: torch.dtype) -> int:
        """Memory for one token of one row."""
        return 2 * layers * kv_heads * head_width * dtype.itemsize

    @property
    def length(self) -> int:
        """Tokens per row allocated now."""
        return self._length

    def ensure(self, tokens: int) -> None:
        """Make rows at least this long."""
        if tokens <= self._length:
            return
        assert tokens <= self.row_tokens  # the context limit ended the row before
        length = min(max(_tiles(tokens), self._length * 2), _tiles(self.row_tokens))
        for slabs in (self.keys, self.values):
            for layer, slab in enumerate(slabs):  # layer by layer: no second cache at once
                grown = slab.new_zeros(slab.shape[0], length, *slab.shape[2:])
                grown[:, : self._length].copy_(slab)
                slabs[layer] = grown
        self._length = length

    def release(self, row: int, tokens: int) -> None:
        """Zero a row's first tokens."""
        for slab in (*self.keys, *self.values):
            slab[row, :tokens].zero_()

    def move(self, source: int, target: int, tokens: int) -> None:
        """Move a row into a released one, and release where it was."""
        for slab in (*self.keys, *self.values):
            slab[target, :tokens].copy_(slab[source, :tokens])
            slab[source, :tokens].zero_()

    def write(self, layer: int, index: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store [tokens, kv heads, width] at flat positions `row * length + position`."""
        for slab, new in ((self.keys[layer], keys), (self.values[layer], values)):
            slab.view(-1, *slab.shape[2:]).index_copy_(0, index, new)


def _tiles(tokens: int) -> int:
    return -(-tokens // LENGTH_TILE) * LENGTH_TILE
