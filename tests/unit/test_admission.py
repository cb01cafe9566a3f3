"""Who gets which share of a prefill."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.admission import prefill_shares


@given(st.lists(st.integers(1, 1000)), st.integers(1, 1000))
def test_prefill_stays_in_its_budget_and_always_moves(missing: list[int], budget: int) -> None:
    shares = prefill_shares(missing, budget)
    assert sum(shares) == min(sum(missing), budget)
    assert all(0 <= share <= tokens for share, tokens in zip(shares, missing, strict=True))
