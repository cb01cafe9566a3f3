"""Which version of a split a request gets: as many as were asked for, and always the same (D4)."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_shared.jobs.split import pick

KEYS = [f"user\0acme\0{number}" for number in range(10_000)]

CHI_SQUARE_1_IN_1000 = {1: 10.83, 2: 13.82, 3: 16.27}
"""By degrees of freedom: the largest sum that chance passes in one case of a thousand."""

weights = st.lists(st.integers(1, 100), min_size=1, max_size=6).map(
    lambda found: [(f"v{number}", float(weight)) for number, weight in enumerate(found, 1)]
)
keys = st.text(max_size=30)


@pytest.mark.parametrize("shares", [(90, 10), (50, 50), (95, 5), (70, 20, 10), (40, 30, 20, 10)])
@pytest.mark.parametrize("salt", ["a/b/c@stable", "another"])
def test_ten_thousand_users_are_split_as_asked__d4(shares: tuple[int, ...], salt: str) -> None:
    arms = [(f"v{number}", float(share)) for number, share in enumerate(shares, 1)]
    found = [pick(arms, salt, key) for key in KEYS]
    counts = {version: found.count(version) for version, _ in arms}
    for version, share in arms:
        assert abs(counts[version] / 100 - share) <= 1.0, "within one per cent of all"
    off = sum((counts[v] - 100 * share) ** 2 / (100 * share) for v, share in arms)
    assert off < CHI_SQUARE_1_IN_1000[len(arms) - 1]


@given(weights, st.text(max_size=10), keys)
def test_the_same_request_gets_the_same_version_for_ever__d4(
    arms: list[tuple[str, float]], salt: str, key: str
) -> None:
    found = pick(arms, salt, key)
    assert found in dict(arms)
    assert pick(list(reversed(arms)), salt, key) == found, "in whatever order they stand"
    assert pick([(version, weight * 7) for version, weight in arms], salt, key) == found, "only shares count"


@given(weights, st.integers(0, 5), st.integers(1, 100), keys)
def test_a_version_that_gets_more_keeps_all_it_had_and_the_others_exchange_none__d4(
    arms: list[tuple[str, float]], which: int, more: int, key: str
) -> None:
    grown = arms[which % len(arms)][0]
    before = pick(arms, "s", key)
    after = pick([(v, w + more if v == grown else w) for v, w in arms], "s", key)
    assert after in (before, grown)


def test_a_canary_that_grows_keeps_those_whom_it_had__d4() -> None:
    def canary(share: float) -> set[str]:
        return {key for key in KEYS if pick([("v1", 100.0 - share), ("v2", share)], "s", key) == "v2"}

    steps = [canary(share) for share in (1.0, 5.0, 10.0, 50.0, 100.0)]
    for fewer, more in itertools.pairwise(steps):
        assert fewer <= more
    assert steps[-1] == set(KEYS)


@given(keys)
def test_a_version_without_a_share_gets_nobody(key: str) -> None:
    assert pick([("v1", 0.0), ("v2", 100.0)], "s", key) == "v2"
    assert pick([("v1", 0.0)], "s", key) is None
    assert pick([], "s", key) is None


def test_another_experiment_draws_anew() -> None:
    arms = [("v1", 50.0), ("v2", 50.0)]
    same = sum(pick(arms, "one", key) == pick(arms, "two", key) for key in KEYS)
    assert math.isclose(same / len(KEYS), 0.5, abs_tol=0.02)
