"""What each running row does in the next step: one more token, or a share of its prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lorayard_workers.engine.admission import prefill_shares
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.blocks import BLOCK_TOKENS
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import Piece

BlocksOf = Callable[[Row], Sequence[int]]


def next_batch(running: Sequence[Row], blocks_of: BlocksOf, prefill_tokens: int) -> list[tuple[Row, Piece]]:
    """Rows that lack one token all take part; others share a budget, the first started first."""
    batch = [(row, _piece(row, blocks_of(row), 1)) for row in running if row.missing_tokens == 1]
    filling = sorted((row for row in running if row.missing_tokens > 1), key=lambda row: row.number)
    shares = prefill_shares((row.missing_tokens for row in filling), prefill_tokens)
    for row, share in zip(filling, shares, strict=True):
        if share:
            batch.append((row, _piece(row, blocks_of(row), share)))
    return batch


def next_fixed_batch(
    running: Sequence[Row], blocks_of: BlocksOf, prefill_tokens: int
) -> list[tuple[Row, Piece]]:
    """The same, cut so that no row's pieces depend on other rows.

    Prompts go in whole blocks, and what a row said before it had to wait goes token by token, as it came.
    """
    filling = [row for row in running if row.missing_tokens > 1 and row.cached_tokens < len(row.prompt_ids)]
    batch = [(row, _piece(row, blocks_of(row), 1)) for row in running if row not in filling]
    filling.sort(key=lambda row: row.number)
    for row in filling[: max(1, prefill_tokens // BLOCK_TOKENS)]:
        tokens = min(BLOCK_TOKENS, len(row.prompt_ids) - row.cached_tokens)
        batch.append((row, _piece(row, blocks_of(row), tokens)))
    return batch


def _piece(row: Row, blocks: Sequence[int], tokens: int) -> Piece:
    return Piece(
        place=Place(blocks=blocks, start=row.cached_tokens, tokens=tokens),
        token_ids=row.tokens(row.cached_tokens, row.cached_tokens + tokens),
        columns=row.columns,
        wants_logits=row.missing_tokens == tokens,
    )
