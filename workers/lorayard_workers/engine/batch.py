"""What each running row does in the next step: one more token, or a share of its prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lorayard_workers.engine.admission import prefill_shares
from lorayard_workers.engine.attention_plan import Place
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


def _piece(row: Row, blocks: Sequence[int], tokens: int) -> Piece:
    return Piece(
        place=Place(blocks=blocks, start=row.cached_tokens, tokens=tokens),
        token_ids=row.tokens(row.cached_tokens, row.cached_tokens + tokens),
        columns=row.columns,
        wants_logits=row.missing_tokens == tokens,
    )
