"""What each running row does in the next step: one more token, or a share of its prompt."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_workers.engine.admission import prefill_shares
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import Piece


def next_batch(running: Sequence[Row], prefill_tokens: int) -> list[tuple[Row, Piece]]:
    """`running[i]` lies in row i of the cache. Rows that decode all take part; prompts share a budget."""
    batch = [
        (row, _piece(row, index, row.total_tokens - 1, row.output_ids[-1:]))
        for index, row in enumerate(running)
        if not row.waits_for_prefill
    ]
    filling = sorted(
        ((index, row) for index, row in enumerate(running) if row.waits_for_prefill),
        key=lambda pair: pair[1].number,
    )
    shares = prefill_shares((len(row.prompt_ids) - row.prefilled for _, row in filling), prefill_tokens)
    for (index, row), share in zip(filling, shares, strict=True):
        if share:
            ids = row.prompt_ids[row.prefilled : row.prefilled + share]
            batch.append((row, _piece(row, index, row.prefilled, ids)))
    return batch


def _piece(row: Row, index: int, start: int, ids: list[int]) -> Piece:
    return Piece(
        place=Place(row=index, start=start, tokens=len(ids)),
        token_ids=ids,
        columns=row.columns,
        wants_logits=start + len(ids) >= len(row.prompt_ids),
    )
