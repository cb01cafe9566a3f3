"""Who leaves a full tier (C3)."""

from __future__ import annotations

from hypothesis import given
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
        assert sum(sizes[v] for v in victims) >= need
        assert sum(sizes[v] for v in victims[:-1]) < need


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
