"""Full blocks that outlive their rows: a row that begins the same, with the same adapter, starts with them.

A key is the hash of an adapter's content digest and all tokens up to the block's end: nothing is ever shared
between two adapters or two versions of one (Kwon et al. 2023, vLLM, keyed there by tokens alone).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lorayard_workers.errors import InvariantError

_BASE = b"base model"
_ADAPTER = b"adapter "


def chain_keys(adapter: str | None, tokens: Sequence[int], block_tokens: int) -> Iterator[bytes]:
    """One key for each full block of a row; `adapter` is a content digest, None the base model. Pure."""
    key = _BASE if adapter is None else _ADAPTER + adapter.encode()
    for stop in range(block_tokens, len(tokens) + 1, block_tokens):
        part = array("q", tokens[stop - block_tokens : stop]).tobytes()
        key = hashlib.blake2b(key + part, digest_size=32).digest()
        yield key


@dataclass(slots=True, kw_only=True)
class KeptBlocks:
    """Which blocks have a key, and which of them no row uses: those are free memory, the oldest first."""

    _keys: dict[int, bytes] = field(default_factory=dict[int, bytes])
    _blocks: dict[bytes, int] = field(default_factory=dict[bytes, int])
    _resting: dict[int, int] = field(default_factory=dict[int, int])  # block -> age, the oldest first
    _clock: int = 0

    @property
    def resting(self) -> int:
        """Blocks that no row uses."""
        return len(self._resting)

    def keep(self, block: int, key: bytes) -> None:
        """A row's block is full; of two with the same content the first is kept."""
        if key not in self._blocks and block not in self._keys:
            self._keys[block], self._blocks[key] = key, block

    def find(self, key: bytes) -> int | None:
        """The block kept under a key."""
        return self._blocks.get(key)

    def wake(self, block: int) -> None:
        """A row uses it."""
        self._resting.pop(block, None)

    def rest(self, block: int) -> bool:
        """No row uses it any more; False if it has no key and need not be kept."""
        if block not in self._keys:
            return False
        self._clock += 1
        self._resting[block] = self._clock
        return True

    def age(self, block: int) -> int | None:
        """When it was last used, in an order of its own; None if it does not rest."""
        return self._resting.get(block)

    @property
    def newest(self) -> int:
        """The greatest age given so far."""
        return self._clock

    def oldest(self, count: int) -> list[int]:
        """So many resting blocks, those used longest ago."""
        return list(islice(self._resting, count))

    def forget(self, block: int) -> bool:
        """Drop its key; True if it rested, and so is free now."""
        key = self._keys.pop(block, None)
        if key is not None:
            del self._blocks[key]
        return self._resting.pop(block, None) is not None

    def forget_all(self) -> list[int]:
        """Drop every key; the blocks that rested."""
        freed = list(self._resting)
        for block in list(self._keys):
            self.forget(block)
        return freed

    def check(self) -> set[int]:
        """The resting blocks, after a look at the books. Raises InvariantError."""
        if {block: key for key, block in self._blocks.items()} != self._keys:
            raise InvariantError("kept blocks: keys and blocks disagree")
        if not self._resting.keys() <= self._keys.keys():
            raise InvariantError("kept blocks: a block without a key rests")
        return set(self._resting)
