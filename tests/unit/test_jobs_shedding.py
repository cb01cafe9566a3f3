"""When a job is told at once that it waits in vain, as values (E5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_dispatcher.limiting.shedding import Pace, is_hopeless, sheds_lane

lanes = st.tuples(*[st.integers(0, 100)] * 4)
bounds = st.tuples(*[st.none() | st.integers(1, 100)] * 4)


def paced(per_second: float, seconds: float, *, step: float = 0.5) -> Pace:
    pace, now = Pace(0.0), 0.0
    while now < seconds:
        now += step
        pace.serve(round(per_second * step), now)
    return pace


@given(rate=st.integers(5, 200), seconds=st.integers(10, 600), ahead=st.integers(1, 5000))
def test_a_steady_pace_tells_the_wait__e5(rate: int, seconds: int, ahead: int) -> None:
    pace = paced(2.0 * rate, seconds)
    wait = pace.wait_seconds(ahead, float(seconds))
    assert wait is not None
    assert wait == pytest.approx(ahead / (2.0 * rate), rel=0.1)


def test_nobody_is_judged_by_a_pace_that_was_hardly_seen_or_has_stopped__e5() -> None:
    assert paced(20.0, 4.0).wait_seconds(1000, 4.0) is None
    assert paced(2.0, 6.0).wait_seconds(1000, 6.0) is None
    sure = paced(20.0, 60.0)
    assert sure.wait_seconds(1000, 60.0) is not None
    assert sure.wait_seconds(1000, 75.0) is None


def test_a_pace_follows_what_workers_do_now__e5() -> None:
    pace, now = paced(100.0, 60.0), 60.0
    while now < 300.0:
        now += 1.0
        pace.serve(10, now)
    wait = pace.wait_seconds(100, now)
    assert wait is not None
    assert 8.0 < wait <= 10.5


@given(wait=st.floats(0, 1e4), left=st.floats(-10, 1e4))
def test_only_what_is_surely_late_is_shed__e5(wait: float, left: float) -> None:
    assert not is_hopeless(None, left)
    assert not is_hopeless(wait, wait)
    if is_hopeless(wait, left):
        assert wait > left


@given(waiting=lanes, bounds=bounds)
def test_the_lowest_lanes_are_shed_first_and_the_most_urgent_last__e5(
    waiting: tuple[int, ...], bounds: tuple[int | None, ...]
) -> None:
    shed = [sheds_lane(lane, waiting, bounds) for lane in range(4)]
    for lane, because in enumerate(shed):
        if because is None:
            continue
        bound = bounds[because]
        assert bound is not None
        assert waiting[because] >= bound
        assert because <= lane
        # Whoever is below a lane that is shed, and has anything waiting, is shed too.
        assert all(shed[below] is not None for below in range(lane + 1, 4))
    over = [lane for lane in range(4) if (bound := bounds[lane]) is not None and waiting[lane] >= bound]
    assert not over or shed[3] is not None
    assert over or shed == [None] * 4


@pytest.mark.parametrize(
    ("waiting", "shed"),
    [
        ((0, 0, 9, 9), [False, False, False, False]),
        ((0, 0, 10, 0), [False, False, True, True]),  # nothing waits below: the lane itself
        ((0, 0, 10, 5), [False, False, False, True]),
        ((0, 0, 20, 5), [False, False, True, True]),
        ((0, 10, 3, 5), [False, False, True, True]),
    ],
)
def test_a_lane_over_its_bound_sheds_what_is_below_it__e5(waiting: tuple[int, ...], shed: list[bool]) -> None:
    bounds = (None, 10, 10, None)
    assert [sheds_lane(lane, waiting, bounds) is not None for lane in range(4)] == shed
