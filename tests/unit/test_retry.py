"""How often a failed job is tried again, how long it waits, and what its history keeps (E3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lorayard import GenerateRequest, Retry
from lorayard.errors import InvalidRequestError
from lorayard.job_message import build_job
from lorayard_schemas.attempt import HISTORY_BYTES, AttemptRecord, history_text, read_history
from lorayard_schemas.failure import FAILURES, FailureClass, is_not_now
from lorayard_shared.jobs.retry_policy import RetryPolicy, wait_seconds
from lorayard_workers.service.retry import Snoozed, read_snoozed

USUAL = RetryPolicy(max_attempts=3, base_seconds=1.0, cap_seconds=60.0, dead_letter=True)
draws = st.floats(0, 1, exclude_max=True)
waits = st.none() | st.floats(0, 1e9)


@given(waits, draws)
def test_the_wait_is_between_base_and_cap_whatever_a_header_says_of_the_last__e3(
    last: float | None, draw: float
) -> None:
    assert USUAL.base_seconds <= wait_seconds(USUAL, last, draw) <= USUAL.cap_seconds


@given(st.floats(1.0, 60.0), draws)
def test_the_wait_knows_the_last_one_and_is_at_most_three_times_it__e3(last: float, draw: float) -> None:
    assert wait_seconds(USUAL, last, draw) <= 3.0 * last


@pytest.mark.parametrize(("last", "longest"), [(None, 3.0), (2.0, 6.0), (15.0, 45.0), (50.0, 60.0)])
def test_the_longest_wait_triples_up_to_the_cap(last: float | None, longest: float) -> None:
    assert wait_seconds(USUAL, last, 0.0) == USUAL.base_seconds
    assert wait_seconds(USUAL, last, 0.999999) == pytest.approx(longest, rel=1e-3)


def test_a_job_goes_before_its_tenant_and_both_before_the_settings__e3() -> None:
    job, tenant = Retry(max_attempts=7), Retry(max_attempts=2, cap_seconds=9.0, dead_letter=False)
    assert USUAL.over(job, tenant) == RetryPolicy(
        max_attempts=7, base_seconds=1.0, cap_seconds=9.0, dead_letter=False
    )
    assert USUAL.over(None, None) == USUAL


def test_a_base_above_the_cap_of_somebody_else_is_the_cap() -> None:
    assert USUAL.over(Retry(base_seconds=600.0)).cap_seconds == 600.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 21},
        {"base_seconds": 0.0},
        {"base_seconds": float("inf")},
        {"cap_seconds": 86_401.0},
        {"base_seconds": 5.0, "cap_seconds": 4.0},
    ],
)
def test_a_policy_out_of_bounds_is_refused_with_its_field(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Retry.model_validate(wrong)
    with pytest.raises(InvalidRequestError) as caught:
        build_job(GenerateRequest("p", retry=wrong), job_id="j", now=0.0)
    assert caught.value.field.startswith("retry")


def test_a_client_may_give_the_policy_as_a_map() -> None:
    job = build_job(GenerateRequest("p", retry={"max_attempts": 5}), job_id="j", now=0.0)
    assert job.retry == Retry(max_attempts=5)


def record(attempt: int, message: str = "m") -> AttemptRecord:
    return AttemptRecord(
        attempt=attempt, worker="w", code="engine_error", message=message, at=1.5, waited_seconds=2.0
    )


def test_a_history_comes_back_as_it_went() -> None:
    told = (record(1), record(2))
    assert read_history(history_text(told)) == told


@pytest.mark.parametrize("header", [None, "", "x", "{}", '[{"attempt":0}]', '[{"attempt":"1"}]'])
def test_a_history_of_somebody_else_is_none(header: str | None) -> None:
    assert read_history(header) == ()


@given(st.lists(st.text(max_size=400), max_size=30))
def test_a_history_fits_its_header_and_keeps_the_first_and_the_last(messages: list[str]) -> None:
    told = [record(number + 1, message) for number, message in enumerate(messages)]
    text = history_text(told)
    assert len(text.encode()) <= HISTORY_BYTES
    kept = read_history(text)
    assert [one.attempt for one in kept[:1]] == [1][: len(told)]
    assert [one.attempt for one in kept[-1:]] == [len(told)][: len(told)]


def test_snoozes_are_counted_from_the_first_one_on() -> None:
    assert read_snoozed(None, 5.0) == Snoozed(times=0, since=5.0)
    assert read_snoozed(Snoozed(times=3, since=4.5).header, 5.0) == Snoozed(times=3, since=4.5)


@pytest.mark.parametrize("header", ["", "x", "1", "-1 2", "1 nan", "1 9e9", "1 -4", "9999999999 1"])
def test_a_count_of_somebody_else_is_none(header: str) -> None:
    assert read_snoozed(header, 5.0) == Snoozed(times=0, since=5.0)


def test_only_what_is_not_now_costs_no_attempt() -> None:
    free = {code for code in FAILURES if is_not_now(code)}
    assert {FAILURES[code][0] for code in free} == {FailureClass.NOT_NOW}
    assert "engine_error" not in free
    assert not is_not_now("a code of tomorrow")
