"""What tells a poison job from one that only waited long, or was in bad company (G1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.conftest import make_taken

from lorayard_dispatcher import interruptions
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.interruptions import Interruptions
from lorayard_schemas.codec import encode
from lorayard_schemas.interruption import (
    CROWD,
    MOST_DEATHS,
    Interruption,
    InterruptionRecord,
    is_poison,
    is_suspect,
)
from lorayard_shared.jobs.taken_job import TakenJob


def held(key: str, delivery: int = 1, job: str = "j") -> HeldJob:
    lease = f"$JS.ACK.S.c.{delivery}.7.7.1000.0"
    return HeldJob(key=key, lease=lease, group="", tenant="t", job=job)


def taken(key: str, deliveries: int, job: str = "j") -> TakenJob:
    return make_taken(key, lease="l", job=job, deliveries=deliveries)


def deaths(count: int, *, alone: bool = False) -> tuple[Interruption, ...]:
    return tuple(
        Interruption(delivery=number + 1, worker="w", at=0.0, alone=alone and number == count - 1)
        for number in range(count)
    )


def test_a_job_is_poison_once_it_was_alone_with_the_last_of_them__e3() -> None:
    assert not is_poison(deaths(2, alone=True), 3)
    assert is_poison(deaths(3, alone=True), 3)
    assert not is_poison(deaths(3), 3), "it may have been another's death"
    assert is_poison(deaths(CROWD * 3), 3), "it must end some time"
    assert not is_poison((), 1)


@given(st.integers(0, MOST_DEATHS), st.integers(1, 20))
def test_what_is_not_cleared_by_its_next_death_is_suspect_first__e3(count: int, most: int) -> None:
    """Nothing is poison that was not run alone, but for the crowd."""
    if is_poison(deaths(count, alone=True), most):
        assert count < most or is_suspect(deaths(count - 1), most) or count - 1 == 0


def test_deaths_are_counted_by_job() -> None:
    counted = Interruptions()
    counted.died("w", [held("a"), held("b")], ["a", "b"])
    counted.died("w", [held("a", 2)], ["a"])
    assert (counted.times("a"), counted.times("b"), counted.times("c")) == (2, 1, 0)
    assert [one.attempt for one in counted.history(taken("a", 3))] == [1, 1]


def test_one_death_that_two_have_seen_is_one() -> None:
    counted = Interruptions()
    counted.died("w", [held("a")], ["a"])
    record = InterruptionRecord(tenant="t", job="j", deaths=deaths(1))
    counted.on_change("a", encode(record))
    assert counted.times("a") == 1
    counted.on_change("a", encode(record.with_death(deaths(2)[1])))
    assert counted.times("a") == 2


def test_a_job_that_another_dispatcher_gave_out_is_counted_when_it_comes_again() -> None:
    counted = Interruptions()
    assert counted.died("w", [], ["a", "b"]) == []
    ((key, tenant, job, death),) = counted.came_again(taken("a", 4))
    assert (key, tenant, job, death.delivery, death.alone) == ("a", "t", "j", 3, False)
    assert counted.came_again(taken("a", 5)) == [], "once"


def test_a_number_of_an_older_stream_is_another_job() -> None:
    counted = Interruptions()
    counted.died("w", [held("a", job="old")], ["a"])
    assert counted.history(taken("a", 2)) == ()
    counted.died("w", [held("a")], ["a"])
    assert counted.times("a") == 1


def test_what_cannot_be_read_counts_for_nothing() -> None:
    counted = Interruptions()
    counted.on_change("a", b"\xff")
    assert counted.times("a") == 0


def test_memory_is_bounded_and_the_longest_unseen_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptions, "REMEMBERED_JOBS", 2)
    counted = Interruptions()
    for number, key in enumerate(("a", "b", "a", "c")):
        counted.died("w", [held(key, number + 1)], [key])
    assert (counted.times("a"), counted.times("b"), counted.times("c")) == (2, 0, 1)


def test_a_record_is_bounded() -> None:
    record = InterruptionRecord(tenant="t", job="j")
    for death in deaths(MOST_DEATHS + 5):
        record = record.with_death(death)
    assert len(record.deaths) == MOST_DEATHS
    assert record.deaths[-1].delivery == MOST_DEATHS + 5
