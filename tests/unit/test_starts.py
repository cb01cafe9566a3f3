"""Adapters take turns in starting rows, whoever asks most (B9)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.starts import FairStarts

keys = st.sampled_from([None, "a", "b", "c"])


def test_a_flood_of_one_adapter_lets_the_next_one_start_first() -> None:
    starts = FairStarts()
    for _ in range(5):
        starts.started("flood")
    assert starts.order(["flood", "flood", "other"])[0] == 2


def test_who_was_away_gets_no_more_than_its_turn() -> None:
    starts = FairStarts()
    for _ in range(100):
        starts.started("a")
    waiting = ["a"] * 3 + ["late"] * 3
    assert [waiting[i] for i in starts.order(waiting)][:5].count("late") <= 3


@given(st.lists(keys, max_size=30), st.lists(keys, min_size=1, max_size=30))
def test_one_adapters_rows_start_in_the_order_they_came(
    before: list[str | None], waiting: list[str | None]
) -> None:
    starts = FairStarts()
    for key in before:
        starts.started(key)
    order = starts.order(waiting)
    assert sorted(order) == list(range(len(waiting)))
    for key in set(waiting):
        mine = [i for i in order if waiting[i] == key]
        assert mine == sorted(mine)


@given(st.lists(keys, max_size=30), st.lists(keys, min_size=2, unique=True), st.integers(1, 40))
def test_adapters_that_always_have_rows_waiting_start_equally_many(
    before: list[str | None], busy: list[str | None], turns: int
) -> None:
    starts = FairStarts()
    for key in before:
        starts.started(key)
    for _ in range(2 * len(busy)):  # what was before is paid back within a turn
        starts.started(busy[starts.order(busy)[0]])
    counts: Counter[str | None] = Counter()
    for _ in range(turns):
        chosen = busy[starts.order(busy)[0]]
        starts.started(chosen)
        counts[chosen] += 1
    assert max(counts.values()) - min(counts[key] for key in busy) <= 1
