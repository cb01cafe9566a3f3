"""Who gets which share of a step. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def prefill_shares(missing: Iterable[int], budget: int) -> list[int]:
    """How many prompt tokens each row may add this step, the longest started first."""
    shares: list[int] = []
    for tokens in missing:
        share = min(tokens, budget)
        shares.append(share)
        budget -= share
    return shares
