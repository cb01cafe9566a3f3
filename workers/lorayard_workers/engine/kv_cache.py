"""Keys and values of all rows in blocks: per layer [blocks, tokens, kv heads, head width].

Which row has which block is kept by `BlockPool`. Block 0 belongs to nobody and stays blank: rows that are
read together are padded with it. A block is zeroed before a row gets it: attention masks what a row must
not see, but 0 x NaN is NaN, and a former row's overflow must not reach the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorayard_workers.engine.blocks import BLANK_BLOCK, BLOCK_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Spaced:
    """Rows of `blocks` neighbouring blocks each, one every `step` blocks: read without a copy."""

    first: int
    step: int
    rows: int
    blocks: int


BlockIndex = Spaced | Tensor
"""What to read: evenly spaced rows, or any blocks."""


class KvCache:
    """See the module docstring. `blocks` does not count the blank one."""

    def __init__(
        self,
        *,
        layers: int,
        blocks: int,
        kv_heads: int,
        head_width: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.blocks = blocks
        shape = (blocks + 1, BLOCK_TOKENS, kv_heads, head_width)
        # Not filled: on a CPU, memory is taken when a block is first cleared, so short work takes little.
        self._keys = [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
        self._values = [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.clear([BLANK_BLOCK])

    @staticmethod
    def token_bytes(layers: int, kv_heads: int, head_width: int, dtype: torch.dtype) -> int:
        """Memory for one token of one row."""
        return 2 * layers * kv_heads * head_width * dtype.itemsize

    @property
    def size_bytes(self) -> int:
        """Memory of all blocks."""
        return sum(slab.nbytes for slab in (*self._keys, *self._values))

    def clear(self, blocks: Iterable[int]) -> None:
        """Zero blocks."""
        for block in blocks:
            for slab in (*self._keys, *self._values):
                slab[block].zero_()

    def write(self, layer: int, index: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store [tokens, kv heads, width] at flat positions `block * BLOCK_TOKENS + offset`."""
        for slab, new in ((self._keys[layer], keys), (self._values[layer], values)):
            slab.view(-1, *slab.shape[2:]).index_copy_(0, index, new)

    def read(self, layer: int, blocks: BlockIndex, *, rows: int) -> tuple[Tensor, Tensor]:
        """Keys and values of rows of equally many blocks, each [rows, kv heads, tokens, width]."""
        return _read(self._keys[layer], blocks, rows), _read(self._values[layer], blocks, rows)


def _read(slab: Tensor, blocks: BlockIndex, rows: int) -> Tensor:
    if not isinstance(blocks, Spaced):
        return slab.index_select(0, blocks).view(rows, -1, *slab.shape[2:]).transpose(1, 2)
    block, token, head, one = slab.stride()
    return slab.as_strided(
        (blocks.rows, slab.shape[2], blocks.blocks * BLOCK_TOKENS, slab.shape[3]),
        (blocks.step * block, head, token, one),
        blocks.first * block,
    )
