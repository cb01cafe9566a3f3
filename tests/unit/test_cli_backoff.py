"""When a crashed child is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorayard_cli.embedded.backoff import RestartPolicy, crashes_in_a_row, delay_seconds

POLICY = RestartPolicy(first_seconds=0.5, factor=2.0, longest_seconds=10.0, well_after_seconds=30.0)


def test_the_delay_doubles_with_each_crash_up_to_the_longest() -> None:
    assert [delay_seconds(crashes, POLICY) for crashes in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_crash_soon_after_the_start_counts_on() -> None:
    assert crashes_in_a_row(3, 29.9, POLICY) == 4


def test_a_child_that_ran_well_begins_anew() -> None:
    assert crashes_in_a_row(7, 30.0, POLICY) == 1


@given(st.integers(min_value=1, max_value=10**9))
def test_the_delay_stays_within_its_bounds_however_often_it_crashed(crashes: int) -> None:
    assert POLICY.first_seconds <= delay_seconds(crashes, POLICY) <= POLICY.longest_seconds
