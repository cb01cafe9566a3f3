"""Who drains for whom, and who gets which share of a prefill (B9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.admission import plan_drains, prefill_shares


@pytest.mark.parametrize(
    ("aged", "rows", "previous", "wanted"),
    [
        ([], {"a": 1}, {}, {}),  # nobody waits too long
        (["x"], {"a": 2, "b": 1}, {}, {"x": "b"}),  # the fewest rows end soonest
        (["x"], {"b": 1, "a": 1}, {}, {"x": "a"}),  # a tie falls by name
        (["x"], {"a": 1, "b": 2}, {"x": "b"}, {"x": "b"}),  # a choice once made is kept
        (["x"], {"a": 1}, {"x": "gone"}, {"x": "a"}),  # until its resident has left
        (["x", "y"], {"a": 1, "b": 2}, {}, {"x": "a", "y": "b"}),  # one resident each
        (["x", "y"], {"a": 1}, {}, {"x": "a"}),  # the longest waiting first
        (["y", "x"], {"a": 1, "b": 2}, {"x": "a"}, {"x": "a", "y": "b"}),  # kept ones are taken
        (["x", "x"], {"a": 1, "b": 1}, {}, {"x": "a"}),  # two rows of one adapter need one slot
    ],
)
def test_drains(
    aged: list[str], rows: dict[str, int], previous: dict[str, str], wanted: dict[str, str]
) -> None:
    assert plan_drains(aged, rows, previous) == wanted


@given(st.lists(st.integers(1, 1000)), st.integers(1, 1000))
def test_prefill_stays_in_its_budget_and_always_moves(missing: list[int], budget: int) -> None:
    shares = prefill_shares(missing, budget)
    assert sum(shares) == min(sum(missing), budget)
    assert all(0 <= share <= tokens for share, tokens in zip(shares, missing, strict=True))
