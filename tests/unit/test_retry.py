"""How long a failed job waits for its next attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.service.retry import BASE_SECONDS, CAP_SECONDS, backoff_seconds

draws = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 1_000), draws)
def test_the_wait_is_between_base_and_cap(attempt: int, draw: float) -> None:
    assert BASE_SECONDS <= backoff_seconds(attempt, draw) <= CAP_SECONDS


@given(st.integers(1, 1_000_000))
def test_no_attempt_number_overflows(attempt: int) -> None:
    """It comes from a header that anybody may write."""
    assert backoff_seconds(attempt, 0.5) <= CAP_SECONDS


@given(st.integers(1, 20), draws)
def test_a_later_attempt_never_waits_less_for_the_same_draw(attempt: int, draw: float) -> None:
    assert backoff_seconds(attempt, draw) <= backoff_seconds(attempt + 1, draw)


@pytest.mark.parametrize(("attempt", "longest"), [(1, 3.0), (2, 9.0), (3, 27.0), (4, 60.0)])
def test_the_longest_wait_triples_up_to_the_cap(attempt: int, longest: float) -> None:
    assert backoff_seconds(attempt, 0.0) == BASE_SECONDS
    assert backoff_seconds(attempt, 0.999999) == pytest.approx(longest, rel=1e-3)
