"""Memory for rows in the cache: who fits, who grows, and who must wait again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorayard_workers.engine.blocks import BLOCK_TOKENS, blocks_for
from lorayard_workers.engine.preemption import BlockHolder, choose_victim
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.row_blocks import RowBlocks
from lorayard_workers.engine.starts import payers_of


@dataclass(slots=True, kw_only=True)
class CacheRoom:
    """The engine thread's view of the cache's blocks."""

    blocks: RowBlocks
    row_tokens: int
    keep_answers: bool = True
    """Not only prompts are kept and taken: an answer's tokens, one by one, are rounded in another way."""
    preemptions: int = 0
    prefix_hits: int = 0
    prefix_tokens: int = 0

    def enter(self, row: Row, running: Sequence[Row]) -> bool:
        """Give a row that starts room for all its tokens so far; False if it must wait.

        A block stays free for each row that may still grow: else rows enter only to push others out.
        """
        if running:
            reserve = sum(self._may_grow(other) for other in (*running, row))
            if blocks_for(row.total_tokens) + reserve > self.blocks.pool.free:
                return False
        tokens = row.tokens(0, row.total_tokens)
        found = self.blocks.start(
            row,
            tokens,
            at_most=self._at_most(row),
            adapter=row.kv_key,
            shareable=None if self.keep_answers else len(row.prompt_ids),
        )
        if found is None:
            return False
        row.cached_tokens = found
        if not row.started:  # else it comes back, and has been counted
            row.reused_tokens = found
            self.prefix_hits += found > 0
            self.prefix_tokens += found
        return True

    def took(self, row: Row) -> None:
        """The row's last logits were sound: so is all that it has in the cache."""
        if row.cached_tokens // BLOCK_TOKENS > row.kept_blocks:
            row.kept_blocks = row.cached_tokens // BLOCK_TOKENS
            tokens = row.cached_tokens if self.keep_answers else min(row.cached_tokens, len(row.prompt_ids))
            self.blocks.keep(row, row.tokens(0, tokens), adapter=row.kv_key)

    def make_room(self, running: Iterable[Row]) -> list[Row]:
        """Give every row room for its next token; returns the rows that gave their blocks back instead."""
        staying = sorted(running, key=lambda row: row.number)
        out: list[Row] = []
        for row in list(staying):
            while row in staying and not self.blocks.grow(row, row.total_tokens):
                victim = choose_victim(
                    [BlockHolder(number=r.number, adapters=payers_of(r.request)) for r in staying]
                )
                assert victim is not None  # alone, a row has all blocks, and no row's context is longer
                leaving = next(r for r in staying if r.number == victim.number)
                staying.remove(leaving)
                self.leave(leaving)
                out.append(leaving)
        self.preemptions += len(out)
        return out

    def leave(self, row: Row) -> None:
        """The row has ended, or waits again with nothing in the cache."""
        self.blocks.release(row)
        row.cached_tokens = row.kept_blocks = 0

    def _may_grow(self, row: Row) -> bool:
        return blocks_for(self._at_most(row)) > len(self.blocks.of(row))

    def _at_most(self, row: Row) -> int:
        return min(len(row.prompt_ids) + row.request.sampling.max_new_tokens, self.row_tokens)
