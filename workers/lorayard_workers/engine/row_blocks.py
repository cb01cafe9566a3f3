"""Which blocks of the cache each row has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from lorayard_workers.engine.blocks import BLOCK_TOKENS, BlockPool, blocks_for
from lorayard_workers.engine.kept_blocks import chain_keys


@dataclass(slots=True, kw_only=True)
class RowBlocks:
    """Block tables by row; `clear` zeroes blocks before a row sees them."""

    pool: BlockPool
    clear: Callable[[Iterable[int]], None]
    reuse: bool = True  # full blocks are kept for rows that begin the same
    _tables: dict[Hashable, list[int]] = field(default_factory=dict[Hashable, list[int]])
    _regions: dict[Hashable, int] = field(default_factory=dict[Hashable, int])

    def start(
        self,
        row: Hashable,
        tokens: Sequence[int],
        *,
        at_most: int,
        adapter: str | None,
        shareable: int | None = None,
    ) -> int | None:
        """Give a row blocks for its first tokens; how many of these are in them already, from an earlier row.

        Of the first `shareable` (None: all).

        None if too few are free; then, and where `clear` raises, nothing changes. It may grow to `at_most`
        tokens, and does so in place where that is possible. The last token is never among those found.
        """
        assert row not in self._tables
        shared = self._share(tokens[:-1][:shareable], adapter)
        fits = False
        try:
            fits = self._take(row, blocks_for(len(tokens)) - len(shared), blocks_for(at_most) - len(shared))
        finally:
            if not fits:
                self.pool.release(reversed(shared))
        if not fits:
            return None
        self._tables[row] = [*shared, *self._tables[row]]
        return len(shared) * BLOCK_TOKENS

    def keep(self, row: Hashable, tokens: Sequence[int], *, adapter: str | None) -> None:
        """What the row has computed so far is sound: its full blocks may serve others."""
        if self.reuse:
            for block, key in zip(self._tables[row], chain_keys(adapter, tokens, BLOCK_TOKENS), strict=False):
                self.pool.kept.keep(block, key)

    def forget(self, row: Hashable) -> None:
        """What the row has computed may be wrong: nobody else gets it."""
        self.pool.forget(self._tables.get(row, ()))

    def _share(self, tokens: Sequence[int], adapter: str | None) -> list[int]:
        found: list[int] = []
        keys = chain_keys(adapter, tokens, BLOCK_TOKENS) if self.reuse else ()
        for key in keys:
            block = self.pool.share(key)
            if block is None:
                break
            found.append(block)
        return found

    def _take(self, row: Hashable, wanted: int, at_most: int) -> bool:
        region = self.pool.reserve(at_most) if wanted <= self.pool.free else None
        blocks: list[int] | None = None
        try:
            blocks = self._cleared(wanted, at=region)
        finally:
            if region is not None and (blocks is None or blocks[0] != region):
                self.pool.leave(region)
        if blocks is None:
            return False
        if region is not None and blocks[0] == region:
            self._regions[row] = region
        self._tables[row] = blocks
        return True

    def _cleared(self, wanted: int, *, at: int | None) -> list[int] | None:
        """As `take` of the pool, but all zeros; nothing is taken if `clear` raises."""
        blocks = self.pool.take(wanted, at=at)
        if blocks is not None:
            try:
                self.clear(blocks)
            except Exception:  # whatever it was: blocks that nobody got are free
                self.pool.release(reversed(blocks))
                raise
        return blocks

    def grow(self, row: Hashable, tokens: int) -> bool:
        """Give the row room for so many tokens in all; False if too few are free.

        Then, and where `clear` raises, nothing changes.
        """
        table = self._tables[row]
        missing = blocks_for(tokens) - len(table)
        if missing > 0:
            new = self._cleared(missing, at=table[-1] + 1)
            if new is None:
                return False
            self._tables[row] = [*table, *new]
        return True

    def release(self, row: Hashable) -> None:
        """The row has ended, or waits again; a row without blocks is fine."""
        self.pool.release(reversed(self._tables.pop(row, [])))  # a row's last block is the first to go
        region = self._regions.pop(row, None)
        if region is not None:
            self.pool.leave(region)

    def of(self, row: Hashable) -> Sequence[int]:
        """The row's blocks, in the order of its tokens."""
        return self._tables.get(row, ())

    def check(self) -> None:
        """Tables and pool agree. Raises InvariantError."""
        self.pool.check(self._tables.values(), self._regions.values())
