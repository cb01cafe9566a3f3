"""The books of the cache's blocks: which are free, and how many rows use each of the others.

Paged attention's memory (Kwon et al. 2023, vLLM) with one change: what lies together or evenly spaced can be
read without a copy, so a row gets a region to grow in where there is one. A region is a wish, not a claim:
its free blocks go to other rows when all else is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lorayard_workers.engine.kept_blocks import KeptBlocks
from lorayard_workers.errors import InvariantError

BLOCK_TOKENS = 64
"""Attention's rounding depends on the length; in tiles of this it does not depend on neighbours' lengths by
the token. Larger blocks would waste more of the last one, smaller ones copy in smaller pieces."""

BLANK_BLOCK = 0
"""All zeros, in nobody's books."""

MAX_REGION = 32
"""Blocks: 2,048 tokens. Few answers are as long as they may be, and a region keeps others at a distance."""

_YES, _NO = b"\x01", b"\x00"


def blocks_for(tokens: int) -> int:
    """Blocks that hold so many tokens."""
    return -(-tokens // BLOCK_TOKENS)


@dataclass(slots=True, kw_only=True)
class BlockPool:
    """Blocks 1..count. One thread at a time (the engine's)."""

    count: int
    kept: KeptBlocks = field(default_factory=KeptBlocks)
    _uses: dict[int, int] = field(default_factory=dict[int, int])
    _free: bytearray = field(init=False)
    _open: bytearray = field(init=False)  # free and in no region
    _reserved: bytearray = field(init=False)  # in a region
    _regions: dict[int, int] = field(default_factory=dict[int, int])  # first block -> size

    def __post_init__(self) -> None:
        self._free = bytearray(_NO + _YES * self.count)
        self._open = bytearray(self._free)
        self._reserved = bytearray(len(self._free))

    @property
    def free(self) -> int:
        """Blocks that `take` can give."""
        return self.count - len(self._uses)

    @property
    def used(self) -> int:
        """Blocks that rows use."""
        return len(self._uses)

    def reserve(self, blocks: int) -> int | None:
        """A region for a row that may need so many blocks; its first block, or None if there is none.

        Sizes are powers of two and regions lie at multiples of them: so rows of like size are evenly spaced.
        """
        size = min(MAX_REGION, 1 << (blocks - 1).bit_length())
        start = self._find_region(size)
        if start is None:
            return None
        self._give_up(block for block in range(start, start + size) if not self._free[block])
        self._open[start : start + size] = _NO * size
        self._reserved[start : start + size] = _YES * size
        self._regions[start] = size
        return start

    def leave(self, region: int) -> None:
        """A row needs its region no longer."""
        stop = region + self._regions.pop(region)
        self._open[region:stop] = self._free[region:stop]
        self._reserved[region:stop] = bytes(stop - region)

    def take(self, wanted: int, *, at: int | None) -> list[int] | None:
        """So many blocks, from block `at` on where these are free; None if there are too few.

        They hold whatever their last user wrote.
        """
        if wanted > self.free:
            return None
        missing = wanted - self._free.count(_YES)
        if missing > 0:
            self._give_up(self.kept.oldest(missing))
        start = self._find_run(wanted, at)
        found = list(range(start, start + wanted)) if start >= 0 else self._lowest(wanted)
        for block in found:
            self._free[block] = self._open[block] = 0
            self._uses[block] = 1
        return found

    def release(self, blocks: Iterable[int]) -> None:
        """A row uses these no longer."""
        for block in blocks:
            self._uses[block] -= 1
            if self._uses[block] == 0:
                del self._uses[block]
                if not self.kept.rest(block):
                    self._set_free(block)

    def share(self, key: bytes) -> int | None:
        """One more row uses the block that is kept under a key; None if there is none."""
        block = self.kept.find(key)
        if block is not None:
            self.kept.wake(block)
            self._uses[block] = self._uses.get(block, 0) + 1
        return block

    def forget_all(self) -> None:
        """Nothing kept may be used again: the weights are others now."""
        for block in self.kept.forget_all():
            self._set_free(block)

    def forget(self, blocks: Iterable[int]) -> None:
        """No other row may use these from now on, whatever they hold."""
        for block in blocks:
            if self.kept.forget(block):
                self._set_free(block)

    def check(self, tables: Iterable[Sequence[int]], regions: Iterable[int]) -> None:
        """Every block is free or used by as many of `tables` as the books say. Raises InvariantError."""
        seen: dict[int, int] = {}
        for table in tables:
            if len(set(table)) != len(table):
                raise InvariantError("kv blocks: a row has a block twice")
            for block in table:
                seen[block] = seen.get(block, 0) + 1
        if seen != self._uses:
            raise InvariantError(f"kv blocks: rows use {len(seen)} blocks, the books say {len(self._uses)}")
        free = {block for block, flag in enumerate(self._free) if flag}
        parts = (free, self._uses.keys(), self.kept.check())
        if sum(map(len, parts)) != self.count or free.union(*parts) != set(range(1, self.count + 1)):
            raise InvariantError("kv blocks: a block is lost, or in two of free, used and kept")
        if sorted(regions) != sorted(self._regions):
            raise InvariantError("kv blocks: a region outlives its row")
        reserved = {b for start, size in self._regions.items() for b in range(start, start + size)}
        if {b for b, flag in enumerate(self._reserved) if flag} != reserved:
            raise InvariantError("kv blocks: regions and their blocks disagree")
        if {b for b, flag in enumerate(self._open) if flag} != free - reserved:
            raise InvariantError("kv blocks: a block is open to all and in a region")

    def _set_free(self, block: int) -> None:
        self._free[block] = 1
        self._open[block] = not self._reserved[block]

    def _give_up(self, blocks: Iterable[int]) -> None:
        """Free blocks that are only kept."""
        self.forget(list(blocks))

    def _find_region(self, size: int) -> int | None:
        """One that is free, else the one of kept and free blocks that was used longest ago."""
        found = self._open_region(size)
        if found is not None or not self.kept.resting:
            return found
        best, best_age = None, self.kept.newest + 1
        for start in range(1, self.count + 2 - size, size):
            age = self._region_age(start, size, best_age)
            if age < best_age:
                best, best_age = start, age
        return best

    def _open_region(self, size: int) -> int | None:
        """The lowest that is free."""
        wanted = _YES * size
        start = self._open.find(wanted)
        while start >= 0:
            aligned = -(-(start - 1) // size) * size + 1
            if self._open.startswith(wanted, aligned):
                return aligned
            start = self._open.find(wanted, aligned)
        return None

    def _region_age(self, start: int, size: int, limit: int) -> int:
        """When one of its blocks was last used; `limit` if that is later, or a row needs one."""
        if self._reserved.find(_YES, start, start + size) >= 0:
            return limit
        newest = 0
        for block in range(start, start + size):
            if self._open[block]:
                continue
            age = self.kept.age(block)
            if age is None or age >= limit:
                return limit
            newest = max(newest, age)
        return newest

    def _find_run(self, wanted: int, at: int | None) -> int:
        run = _YES * wanted
        if at is not None and self._free.startswith(run, at):
            return at
        return self._open.find(run)

    def _lowest(self, wanted: int) -> list[int]:
        """Of those that are open, then of the others."""
        found: list[int] = []
        for flags in (self._open, self._free):
            block = flags.find(_YES)
            while block >= 0 and len(found) < wanted:
                if block not in found:
                    found.append(block)
                block = flags.find(_YES, block + 1)
        return found
