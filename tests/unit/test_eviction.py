"""Who leaves a full tier (C3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_workers.memory.eviction import Candidate, Usage, choose_victims

usages = st.builds(
    Usage,
    weight=st.floats(0, 1e6, allow_nan=False),
    last_used=st.floats(0, 1e6, allow_nan=False),
)
candidates = st.lists(
    st.builds(
        Candidate,
        key=st.text("abcdef", min_size=1, max_size=8),
        usage=usages,
        size=st.integers(1, 100),
        in_use=st.booleans(),
        pinned=st.booleans(),
    ),
    unique_by=lambda c: c.key,
    max_size=12,
)


@given(candidates, st.integers(1, 400))
def test_pinned_and_in_use_are_never_victims__c3(residents: list[Candidate], need: int) -> None:
    safe = {c.key for c in residents if c.evictable}
    assert set(choose_victims(residents, need) or ()) <= safe


@given(candidates, st.integers(1, 400))
def test_victims_free_enough_and_none_is_superfluous__c3(residents: list[Candidate], need: int) -> None:
    sizes = {c.key: c.size for c in residents}
    victims = choose_victims(residents, need)
    if victims is None:
        assert sum(c.size for c in residents if c.evictable) < need
    else:
        freed = sum(sizes[v] for v in victims)
        assert freed >= need
        assert all(freed - sizes[v] < need for v in victims)


@given(candidates, st.integers(0, 60), st.integers(0, 5), st.sampled_from([0.0, 1.0]))
def test_a_number_of_places_may_be_needed_too__c3(
    residents: list[Candidate], need: int, places: int, tolerance: float
) -> None:
    sizes = {c.key: c.size for c in residents if c.evictable}
    victims = choose_victims(residents, need, need_count=places, tolerance=tolerance)
    if victims is None:
        assert sum(sizes.values()) < need or len(sizes) < places
        return
    freed = sum(sizes[v] for v in victims)
    assert freed >= need
    assert len(victims) >= places
    assert all(freed - sizes[v] < need or len(victims) == places for v in victims)


@given(candidates, st.integers(1, 60))
def test_nobody_dearer_leaves_than_strict_order_would_take__c3(residents: list[Candidate], need: int) -> None:
    values = {c.key: c.usage.rank() for c in residents}
    strict, loose = choose_victims(residents, need), choose_victims(residents, need, tolerance=1.0)
    if strict is None or loose is None:
        assert strict is loose
        return
    assert max(values[v] for v in loose) <= max(values[v] for v in strict) + 1.0


def test_among_equally_cheap_choices_the_tightest_set_leaves__c3() -> None:
    """Not the 64 for a need of 8, nor 72 columns for a need of 64."""
    sizes = {"a": 16, "b": 64, "c": 8, "d": 8, "e": 32}
    residents = [
        Candidate(key=key, size=size, usage=Usage().touched(100.0 + second))
        for second, (key, size) in enumerate(sizes.items())
    ]
    found = {need: choose_victims(residents, need, tolerance=1.0) for need in (8, 16, 24, 56, 64, 100)}
    assert found == {
        8: ("c",),
        16: ("a",),
        24: ("a", "c"),
        56: ("a", "c", "e"),
        64: ("b",),
        100: ("b", "c", "e"),
    }
    assert choose_victims(residents, 8) == ("a",)  # without tolerance the oldest goes


def test_a_thousand_residents_are_judged_at_once__c3() -> None:
    residents = [
        Candidate(key=f"{i:04}", size=8 * (1 + i % 8), usage=Usage().touched(float(i % 50)))
        for i in range(1000)
    ]
    victims = choose_victims(residents, 512, need_count=3, tolerance=1.0)
    assert victims is not None
    assert sum(8 * (1 + int(v) % 8) for v in victims) == 512


many_sizes = st.lists(st.integers(1, 1 << 40), min_size=60, max_size=70, unique=True)


@settings(max_examples=20)
@given(many_sizes, st.floats(0.1, 0.9), st.integers(0, 50), st.sampled_from([0.0, 1.0]))
def test_sizes_that_all_differ_are_judged_without_trying_every_set__c3(
    by_age: list[int], share: float, places: int, tolerance: float
) -> None:
    """As bytes of strangers' files do: of sixty sizes there are 2**60 sets, most of another sum."""
    residents = [
        Candidate(key=str(size), size=size, usage=Usage().touched(0.01 * age))
        for age, size in enumerate(by_age)
    ]
    need = round(share * sum(by_age))
    victims = choose_victims(residents, need, need_count=places, tolerance=tolerance)
    assert victims is not None
    freed = sum(int(v) for v in victims)
    assert freed >= need
    assert len(victims) >= places
    assert all(freed - int(v) < need or len(victims) == places for v in victims)


def test_in_strict_order_what_later_ones_make_superfluous_stays__c3() -> None:
    residents = [
        Candidate(key=key, size=size, usage=Usage().touched(float(second)))
        for second, (key, size) in enumerate({"a": 1, "b": 5, "c": 2, "d": 9, "e": 9}.items())
    ]
    assert choose_victims(residents, 14) == ("b", "d")
    assert choose_victims(residents, 16) == ("b", "c", "d")
    assert choose_victims(residents, 14, need_count=3) == ("a", "b", "d")


@given(candidates, st.integers(1, 400), st.permutations(range(12)))
def test_the_order_of_the_residents_does_not_matter__c3(
    residents: list[Candidate], need: int, order: list[int]
) -> None:
    shuffled = [residents[i] for i in order if i < len(residents)]
    assert choose_victims(shuffled, need) == choose_victims(residents, need)


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=8, unique=True))
def test_with_one_use_each_the_least_recent_leaves__c3(moments: list[float]) -> None:
    residents = [Candidate(key=str(t), usage=Usage().touched(t)) for t in moments]
    victims = choose_victims(residents, 1)
    assert victims == (str(min(moments)),)


def test_frequent_use_outlives_a_later_single_use__c3() -> None:
    often, once = Usage(), Usage().touched(100.0)
    for moment in (50.0, 60.0, 70.0, 80.0):
        often = often.touched(moment)
    residents = [Candidate(key="often", usage=often), Candidate(key="once", usage=once)]
    assert choose_victims(residents, 1) == ("once",)


def test_past_frequency_fades__c3() -> None:
    often, once = Usage(), Usage().touched(1000.0)
    for moment in (50.0, 60.0, 70.0, 80.0):
        often = often.touched(moment)
    residents = [Candidate(key="often", usage=often), Candidate(key="once", usage=once)]
    assert choose_victims(residents, 1) == ("often",)


def test_a_clock_that_steps_back_does_no_harm() -> None:
    assert Usage().touched(100.0).touched(50.0) == Usage(weight=2.0, last_used=100.0)


@pytest.mark.parametrize(
    ("doublings", "victim"),
    [
        pytest.param({}, "used-2", id="the least used"),
        pytest.param({"used-2": 2.0}, "used-5", id="of which each use counts four"),
        pytest.param({"used-5": -2.0}, "used-5", id="or a quarter"),
    ],
)
def test_uses_of_what_operators_prefer_count_more__c3(doublings: dict[str, float], victim: str) -> None:
    residents = [
        Candidate(
            key=f"used-{uses}",
            usage=Usage(weight=uses, last_used=9.0),
            doublings=doublings.get(f"used-{uses}", 0.0),
        )
        for uses in (2, 5, 9)
    ]
    assert choose_victims(residents, 1) == (victim,)


@pytest.mark.parametrize(("ago", "victim"), [(100.0, "usual"), (130.0, "high")])
def test_what_nobody_has_used_yet_is_kept_longer_by_as_many_half_lives__c3(ago: float, victim: str) -> None:
    high = Candidate(key="high", usage=Usage(last_used=1000.0 - ago), doublings=2.0)
    usual = Candidate(key="usual", usage=Usage(last_used=1000.0))
    assert choose_victims([high, usual], 1) == (victim,)
