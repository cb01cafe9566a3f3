"""Adapters take turns in starting rows, whoever asks most (B9)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.request import Composition, CompositionPolicy, GenerationRequest, WeightedAdapter
from lorayard_workers.engine.starts import FairStarts, Payers, payers_of

keys = st.sampled_from([None, "a", "b", "c"])


def test_a_flood_of_one_adapter_lets_the_next_one_start_first() -> None:
    starts = FairStarts()
    for _ in range(5):
        starts.started(("flood",))
    assert starts.order([("flood",), ("flood",), ("other",)])[0] == 2


def test_who_was_away_gets_no_more_than_its_turn() -> None:
    starts = FairStarts()
    for _ in range(100):
        starts.started(("a",))
    waiting = ["a"] * 3 + ["late"] * 3
    assert [waiting[i] for i in starts.order([(key,) for key in waiting])][:5].count("late") <= 3


@given(st.lists(keys, max_size=30), st.lists(keys, min_size=1, max_size=30))
def test_one_adapters_rows_start_in_the_order_they_came(
    before: list[str | None], waiting: list[str | None]
) -> None:
    starts = FairStarts()
    for key in before:
        starts.started((key,))
    order = starts.order([(key,) for key in waiting])
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
        starts.started((key,))
    for _ in range(2 * len(busy)):  # what was before is paid back within a turn
        starts.started((busy[starts.order([(key,) for key in busy])[0]],))
    counts: Counter[str | None] = Counter()
    for _ in range(turns):
        chosen = busy[starts.order([(key,) for key in busy])[0]]
        starts.started((chosen,))
        counts[chosen] += 1
    assert max(counts.values()) - min(counts[key] for key in busy) <= 1


@given(st.integers(1, 8), st.integers(1, 4), st.booleans())
def test_adapters_never_seen_before_overtake_nobody_for_ever__b9(new: int, own: int, composed: bool) -> None:
    """One row starts in a step; `new` rows with fresh adapters are always in the line."""
    starts = FairStarts()
    line: list[Payers] = [("a",)] * own
    for step in range(2 * (own + 1) * (new + 2)):
        while len(line) - line.count(("a",)) < new:
            line.append((f"{step}.{len(line)}", *(("shared",) if composed else ())))
        chosen = line.pop(starts.order(line)[0])
        starts.started(chosen)
        if ("a",) not in line:
            return
    raise AssertionError(f"{line.count(('a',))} rows have not started")


def test_fresh_recipes_of_one_adapter_count_against_that_adapter__b9() -> None:
    starts = FairStarts()
    for recipe in range(5):
        starts.started(("flood", str(recipe)))
    assert starts.order([("flood", "new"), ("other",)])[0] == 1


@given(st.sampled_from(CompositionPolicy))
def test_a_composition_is_charged_to_its_adapters_whatever_becomes_of_them__b9(
    policy: CompositionPolicy,
) -> None:
    parts = tuple(WeightedAdapter(digest=name, weight=0.5) for name in "ab")
    composition = Composition(parts=parts, policy=policy)
    request = GenerationRequest(request_id="r", prompt="p", composition=composition)
    assert payers_of(request) == ("a", "b")
