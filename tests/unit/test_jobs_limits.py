"""Token buckets, calendar windows and gates, as values (E5)."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lorayard_dispatcher.limiting.calendar_window import Period, window_at
from lorayard_dispatcher.limiting.gate import Gate, Reached, told
from lorayard_dispatcher.limiting.gates import Gates
from lorayard_dispatcher.limiting.token_bucket import TokenBucket
from lorayard_schemas.codec import encode
from lorayard_schemas.limit import Limits, Measure, Rate, SpentHere, limits_key

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
ONE = (1.0, 10.0, 100.0)

steps = st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 20)), min_size=1, max_size=60)


def per_second(amount: float, **given: float) -> Limits:
    return Limits(tenant="acme", rates={Measure.REQUESTS: Rate(amount=amount, **given)})


@given(steps=steps, rate=st.floats(0.1, 50), size=st.floats(1, 50))
def test_no_window_lets_in_more_than_the_burst_and_what_came_in__e5(
    steps: list[tuple[float, float]], rate: float, size: float
) -> None:
    bucket = TokenBucket(per_second=rate, size=size, now=0.0)
    now, taken = 0.0, list[tuple[float, float]]()
    for passed, amount in steps:
        now += passed
        if bucket.wait_seconds(amount, now) == 0.0 and amount <= size:
            bucket.take(amount, now)
            taken.append((now, amount))
    for index, (begin, _) in enumerate(taken):
        total = 0.0
        for at, amount in taken[index:]:
            total += amount
            assert total <= size + rate * (at - begin) + 1e-6


@given(steps=steps, rate=st.floats(0.1, 50), size=st.floats(1, 50))
def test_who_waits_as_long_as_told_gets_it_then_and_in_turn__e5(
    steps: list[tuple[float, float]], rate: float, size: float
) -> None:
    """Paid for when they come, jobs go in the order in which they came, never faster than the rate."""
    bucket = TokenBucket(per_second=rate, size=size, now=0.0)
    now, goes = 0.0, list[float]()
    for passed, amount in steps:
        now += passed
        goes.append(now + bucket.wait_seconds(amount, now))
        bucket.take(amount, now)
    # One that is more than the bucket goes when it is full, and may pass nobody.
    assert all(math.isfinite(at) for at in goes)
    same = [at for at, (_, amount) in zip(goes, steps, strict=True) if amount >= size]
    assert same == sorted(same)


@given(jumps=st.lists(st.floats(-1000, 1000), max_size=30))
def test_a_clock_that_jumps_fills_no_bucket_beyond_its_size_and_raises_nothing__e5(
    jumps: list[float],
) -> None:
    bucket = TokenBucket(per_second=1.0, size=10.0, now=0.0)
    now = 0.0
    for jump in jumps:
        now += jump
        assert bucket.level(now) <= 10.0
        bucket.take(1.0, now)
        before = bucket.level(now)
        assert bucket.level(now - 100.0) == before


@given(unix=st.floats(0, 4e9), period=st.sampled_from(Period))
def test_every_moment_is_in_its_own_window_and_windows_join__e5(unix: float, period: Period) -> None:
    window = window_at(period, unix)
    assert window.holds(unix)
    assert window_at(period, window.ends_at).begins_at == window.ends_at
    assert window_at(period, window.begins_at) == window
    assert datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d").startswith(window.name)


@pytest.mark.parametrize("unix", [-1.0, 0.0, 1e18, 2e11])
def test_a_clock_that_says_nonsense_still_has_a_window__e5(unix: float) -> None:
    assert window_at(Period.MONTH, unix).ends_at > window_at(Period.MONTH, unix).begins_at


def test_a_quota_begins_anew_with_its_window_and_a_clock_set_back_finds_what_was_counted__e5() -> None:
    gate = Gate(Limits(tenant="acme", per_day={Measure.REQUESTS: 1}), 0.0)
    assert gate.look(ONE, 0.0, NOON) == 0.0
    gate.spend(ONE, 0.0, NOON)
    over = gate.look(ONE, 1.0, NOON)
    assert isinstance(over, Reached)
    assert over.retry_after_seconds == 12 * 3600
    tomorrow = NOON + timedelta(days=1).total_seconds()
    assert gate.look(ONE, 2.0, tomorrow) == 0.0
    gate.spend(ONE, 2.0, tomorrow)
    assert isinstance(gate.look(ONE, 3.0, NOON), Reached)
    assert isinstance(gate.look(ONE, 4.0, tomorrow), Reached)


def test_of_several_limits_the_one_that_lasts_longest_is_told__e5() -> None:
    record = Limits(tenant="acme", rates={Measure.REQUESTS: Rate(amount=1)}, per_day={Measure.REQUESTS: 1})
    gate = Gate(record, 0.0)
    gate.spend(ONE, 0.0, NOON)
    over = gate.look(ONE, 0.0, NOON)
    assert isinstance(over, Reached)
    assert over.name == "requests_per_day"
    assert told(over) == ("tenant acme may ask for 1 requests a day (UTC), and has 1; try again in 43,200 s")


def test_what_was_not_used_comes_back_and_what_was_used_beyond_is_owed__e5() -> None:
    record = Limits(tenant="acme", rates={Measure.TOKENS: Rate(amount=1, burst=100)})
    gate = Gate(record, 0.0)
    gate.spend((1.0, 100.0, 0.0), 0.0, NOON)
    gate.settle(-60.0, 0.0, NOON)  # it took 40
    assert gate.look((1.0, 60.0, 0.0), 0.0, NOON) == 0.0
    gate.settle(30.0, 0.0, NOON)
    over = gate.look((1.0, 60.0, 0.0), 0.0, NOON)
    assert isinstance(over, Reached)
    assert over.retry_after_seconds == pytest.approx(30.0)


def test_a_changed_limit_keeps_what_was_used__e5() -> None:
    gate = Gate(Limits(tenant="acme", per_day={Measure.REQUESTS: 1}), 0.0)
    gate.spend(ONE, 0.0, NOON)
    gate.change(Limits(tenant="acme", per_day={Measure.REQUESTS: 2}), 0.0)
    assert gate.look(ONE, 0.0, NOON) == 0.0
    gate.spend(ONE, 0.0, NOON)
    assert isinstance(gate.look(ONE, 0.0, NOON), Reached)


def test_what_another_dispatcher_let_in_counts_here__e5() -> None:
    gate = Gate(
        Limits(
            tenant="acme",
            rates={Measure.REQUESTS: Rate(amount=1, burst=2)},
            max_pending={Measure.REQUESTS: 3},
        ),
        0.0,
    )
    gate.hear((2.0, 0.0, 0.0), 0.0)
    assert isinstance(gate.look(ONE, 0.0, NOON), Reached)
    gate.elsewhere["d2"] = (3.0, 0.0, 0.0)
    over = gate.look(ONE, 10.0, NOON)
    assert isinstance(over, Reached)
    assert over.name == "max_pending"


def test_a_record_that_cannot_be_read_or_stands_under_another_key_changes_nothing__e5() -> None:
    gates = Gates()
    key = limits_key("acme", None)
    assert gates.on_change(key, encode(per_second(1)), 0.0)
    assert not gates.on_change(key, b"\x00", 0.0)
    assert not gates.on_change(limits_key("other", None), encode(per_second(5)), 0.0)
    assert not gates.on_change("retry.acme", encode(per_second(5)), 0.0)
    assert [gate.record for gate in gates.find("acme", ("base",), 0.0)] == [per_second(1)]
    assert gates.find("other", ("base",), 0.0) == ()
    assert gates.on_change(key, None, 0.0)
    assert not gates


@pytest.mark.parametrize(
    "given",
    [
        {"rates": {"requests": {"amount": 0}}},
        {"rates": {"requests": {"amount": -1}}},
        {"rates": {"requests": {"amount": float("nan")}}},
        {"rates": {"requests": {"amount": float("inf")}}},
        {"rates": {"requests": {"amount": 1, "per_seconds": 0}}},
        {"rates": {"requests": {"amount": 1, "wait_seconds": 1e9}}},
        {"rates": {"words": {"amount": 1}}},
        {"per_day": {"tokens": 1e30}},
        {"max_pending": {"requests": 0}},
        {},
    ],
)
def test_absurd_limits_are_refused__e5(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"tenant": "acme", **given})


def test_limits_of_nobody_or_of_one_version_are_refused__e5() -> None:
    with pytest.raises(ValidationError, match="name a tenant"):
        Limits(per_day={Measure.REQUESTS: 1})
    with pytest.raises(ValidationError, match="one version"):
        Limits(adapter="acme/tiny/a@1", per_day={Measure.REQUESTS: 1})


def test_what_is_no_number_is_no_sum_of_another_dispatcher__e5() -> None:
    fine = (0.0, 0.0, 0.0)
    for wrong in (math.nan, math.inf):
        for wrong_one in (
            {"spent": (wrong, 0.0, 0.0)},
            {"pending": (0.0, wrong, 0.0)},
            {"owed": (wrong,) * 3},
        ):
            with pytest.raises(ValidationError):
                SpentHere.model_validate({"spent": fine, "pending": fine, **wrong_one})


def test_a_change_costs_the_same_however_many_limits_there_are__e5() -> None:
    gates = Gates()

    def add(index: int) -> None:
        made = per_second(5.0).model_copy(update={"tenant": f"t{index}"})
        gates.on_change(limits_key(made.tenant, None), encode(made), 0.0)

    add(0)
    few = calls(lambda: add(1))
    for index in range(2, 300):
        add(index)
    assert calls(lambda: add(300)) <= few + 5


def calls(work: Callable[[], None]) -> int:
    """How many functions a piece of work calls."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
