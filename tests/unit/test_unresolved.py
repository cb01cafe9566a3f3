"""Which of the jobs that wait for news are looked at anew, and when."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.conftest import make_taken

from lorayard_dispatcher.unresolved import Unresolved
from lorayard_schemas.strike import Strike
from lorayard_shared.jobs.taken_job import TakenJob

STRIKE = Strike(adapter="acme/tiny/echo", why="it errs")


def job(key: str, lease: int = 1) -> TakenJob:
    return make_taken(
        key,
        tenant="acme",
        adapter="acme/tiny/typo",
        lease=f"$JS.ACK.YARD_JOBS.dispatch-normal.{lease}.1.1.1700000000000000000.0",
    )


def test_a_job_that_somebody_will_call_for_costs_nothing_until_then() -> None:
    """A hundred workers tell of themselves every second, and thousands of jobs may name what is not there."""
    jobs = Unresolved()
    jobs.put(job("open"))
    jobs.put(job("struck"), STRIKE)
    for number in range(3):
        jobs.put(job(f"typo{number}"), called=True)
    assert [one.key for one in jobs.take_unknown()] == ["open"]
    assert [one.key for one in jobs.take_keys(["typo1", "gone"])] == ["typo1"]
    assert (len(jobs), jobs.aside) == (3, 1)
    assert [one.key for one in jobs.take_all()] == ["struck", "typo0", "typo2"]


def test_what_a_job_waits_for_is_what_was_said_last() -> None:
    jobs = Unresolved()
    jobs.put(job("a"), called=True)
    old = jobs.put(job("a", lease=2))
    assert old is not None
    assert (old.lease, len(jobs)) == (job("a").lease, 1)
    assert jobs.put(replace(job("a", lease=2), deliveries=2), STRIKE) is None
    assert jobs.take_unknown() == []
    jobs.put(job("a", lease=2))
    assert ([one.key for one in jobs.take_unknown()], jobs.aside) == (["a"], 0)
