"""Which blocks of the cache each row has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from lorayard_workers.engine.blocks import BlockPool, blocks_for


@dataclass(slots=True, kw_only=True)
class RowBlocks:
    """Block tables by row; `clear` zeroes blocks before a row sees them."""

    pool: BlockPool
    clear: Callable[[Iterable[int]], None]
    _tables: dict[Hashable, list[int]] = field(default_factory=dict[Hashable, list[int]])
    _regions: dict[Hashable, int] = field(default_factory=dict[Hashable, int])

    def start(self, row: Hashable, tokens: int, *, at_most: int) -> bool:
        """Give a row blocks for its first tokens; False, and nothing changes, if too few are free.

        It may grow to `at_most` tokens, and does so in place where that is possible.
        """
        assert row not in self._tables
        region = self.pool.reserve(blocks_for(at_most))
        blocks = self.pool.take(blocks_for(tokens), at=region)
        if region is not None and (blocks is None or blocks[0] != region):
            self.pool.leave(region)
        elif region is not None:
            self._regions[row] = region
        if blocks is None:
            return False
        self.clear(blocks)
        self._tables[row] = blocks
        return True

    def grow(self, row: Hashable, tokens: int) -> bool:
        """Give the row room for so many tokens in all; False, and nothing changes, if too few are free."""
        table = self._tables[row]
        missing = blocks_for(tokens) - len(table)
        if missing > 0:
            new = self.pool.take(missing, at=table[-1] + 1)
            if new is None:
                return False
            self.clear(new)
            self._tables[row] = [*table, *new]
        return True

    def release(self, row: Hashable) -> None:
        """The row has ended, or waits again; a row without blocks is fine."""
        self.pool.release(self._tables.pop(row, []))
        region = self._regions.pop(row, None)
        if region is not None:
            self.pool.leave(region)

    def of(self, row: Hashable) -> Sequence[int]:
        """The row's blocks, in the order of its tokens."""
        return self._tables.get(row, ())

    def check(self) -> None:
        """Tables and pool agree. Raises InvariantError."""
        self.pool.check(self._tables.values(), self._regions.values())
