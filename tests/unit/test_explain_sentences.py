"""The sentence about a job is true, whatever phase and reason it is about (B11, G1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.conftest import job_decision

from lorayard_dispatcher.planning.values import Phase
from lorayard_schemas.audit import ReturnRecord
from lorayard_schemas.explanation import JobExplanation, WaitReason, Whereabouts
from lorayard_schemas.result import ErrorKind, JobResult, Maker, ResultError, ResultState
from lorayard_shared.explaining.decisions import seconds, why
from lorayard_shared.explaining.evidence import Evidence, JobState, Queued
from lorayard_shared.explaining.sentences import sentence

DECISION = job_decision()
FOUND = Evidence(job="j", tenant="acme", now=100.0)
NOT_HERE = JobExplanation(dispatcher="d2", where=Whereabouts.NOT_HERE)
PARKED = JobExplanation(
    dispatcher="d1",
    where=Whereabouts.PARKED,
    workers=2,
    adapter="a/b/c@2",
    lane="normal",
    waited_seconds=3.0,
    overdue_in_seconds=12.0,
)


def decided(phase: str, **given: object) -> str:
    return why(DECISION.model_copy(update={"phase": phase, **given}))


def parked(reason: WaitReason, **given: object) -> str:
    live = PARKED.model_copy(update={"reason": reason, **given})
    return sentence(replace(FOUND, answers=(NOT_HERE, live)))


@pytest.mark.parametrize(
    ("phase", "given", "said"),
    [
        ("warm", {}, "w1 held a/b/c@2 and had room"),
        ("warm", {"adapter": None}, "w1 had room, and the base model needs no slot"),
        (
            "load",
            {"source": "host", "cost_seconds": 0.03, "evicts": "x/y/z@1"},
            "no worker with a/b/c@2 had room, and this load released the most work "
            "(loaded from host memory in place of x/y/z@1, 0.03 s)",
        ),
        (
            "spill",
            {"source": "host"},
            "the workers with a/b/c@2 had more work than a further load costs, so w1 took it up as well "
            "(loaded from host memory)",
        ),
        (
            "overdue",
            {},
            "it was overdue after 4.2 s and went before warm work, to w1, which held a/b/c@2",
        ),
        (
            "overdue",
            {"source": "disk"},
            "it was overdue after 4.2 s and went before warm work, to w1 (loaded from disk)",
        ),
        ("overdue", {"adapter": None}, "it was overdue after 4.2 s and went before warm work, to w1"),
        ("hand_over", {}, "a slot of w1 was drained for a/b/c@2 and had come free"),
        (
            "conserve",
            {},
            "tenant acme was past its share, but nobody else could use the row, which held a/b/c@2",
        ),
        (
            "blind",
            {"view_age_seconds": 2.0},
            "the fleet had not been heard for 2.0 s, so w1 was chosen by hash",
        ),
        (
            "forced_home",
            {},
            "workers refused it, so it went to w1, the home of its adapter, to be queued there",
        ),
        ("session", {}, "w1 held a/b/c@2, had the conversation of its session and had room"),
        ("session", {"adapter": None}, "w1 had the conversation of its session and had room"),
        ("newer", {}, "the planner chose w1 in its phase newer, which held a/b/c@2"),
    ],
)
def test_each_phase_has_its_reason(phase: str, given: dict[str, object], said: str) -> None:
    assert decided(phase, **given) == said


def test_no_phase_of_the_planner_is_unknown() -> None:
    assert not [phase for phase in Phase if "in its phase" in decided(phase)]


@pytest.mark.parametrize(
    ("reason", "given", "said"),
    [
        (WaitReason.NO_WORKER, {"workers": 0}, "no worker is alive"),
        (
            WaitReason.NO_WORKER_TAKES_JOBS,
            {},
            "2 workers are alive, but draining, paused or not heard for too long",
        ),
        (
            WaitReason.NO_WORKER_TAKES_JOBS,
            {"workers": 1, "detail": "worker w1, by ana: a new disk"},
            "1 worker is alive, but draining, paused or not heard for too long; "
            "paused: worker w1, by ana: a new disk",
        ),
        (
            WaitReason.NO_BASE,
            {"workers": 1},
            "1 worker is alive, none with the base model that a/b/c@2 was made for",
        ),
        (WaitReason.NO_FILES, {}, "2 workers are alive, none that serves a/b/c@2"),
        (
            WaitReason.PLACEMENT,
            {"detail": "zone=a"},
            "2 workers are alive, and a/b/c@2 was declared to be nowhere but on zone=a",
        ),
        (
            WaitReason.DEDICATED,
            {"adapter": None},
            "2 workers are alive, and each that could run the base model serves another adapter alone",
        ),
        (
            WaitReason.SESSION_WORKER,
            {"worker": "w1", "moves_in_seconds": 0.8},
            "it waits for a row of worker w1, which has its session's conversation, and moves to another one "
            "in 0.80 s; overdue in 12 s",
        ),
        (
            WaitReason.ROWS_BUSY,
            {"ahead": 1, "oldest_seconds": 9.0},
            "every row that could run a/b/c@2 is busy, and 1 older job of its lane is ahead, the oldest "
            "since 9.0 s; overdue in 12 s",
        ),
        (
            WaitReason.ROWS_BUSY,
            {"adapter": None, "overdue_in_seconds": -2.5},
            "every row that could run the base model is busy, and it is the oldest of its lane; it is "
            "overdue by 2.5 s and goes before warm work",
        ),
        (
            WaitReason.SLOTS_BUSY,
            {},
            "a/b/c@2 needs a slot, and every one is in use where a row is free; none is drained for it yet; "
            "overdue in 12 s",
        ),
        (
            WaitReason.SLOTS_BUSY,
            {"drains": "x/y/z@1", "worker": "w2"},
            "a/b/c@2 needs a slot, and every one is in use where a row is free; x/y/z@1 gets no new rows on "
            "worker w2, to free one; overdue in 12 s",
        ),
        (
            WaitReason.TENANT_SHARE,
            {},
            "tenant acme is past its share while others wait; overdue in 12 s",
        ),
        (
            WaitReason.NEXT_PLAN,
            {},
            "there is room for a/b/c@2, so it goes with one of the next plans; overdue in 12 s",
        ),
        (
            WaitReason.PLANNER,
            {"detail": "its adapter is pinned elsewhere"},
            "its adapter is pinned elsewhere",
        ),
    ],
)
def test_each_reason_to_wait_is_told(reason: WaitReason, given: dict[str, object], said: str) -> None:
    assert parked(reason, **given) == f"job j has waited 3.0 s in lane normal: {said}"


def test_a_parked_job_that_came_back_says_from_whom() -> None:
    back = ReturnRecord(at=95.0, dispatcher="d1", job="j", tenant="acme", worker="w3", reason="no_room")
    live = PARKED.model_copy(update={"reason": WaitReason.NO_WORKER, "attempt": 2})
    said = sentence(replace(FOUND, answers=(live,), records=(DECISION, back)))
    assert said == (
        "job j has waited 3.0 s in lane normal (attempt 2), after worker w3 gave it back (no_room): "
        "no worker is alive"
    )


def result(state: ResultState = ResultState.SUCCEEDED, **given: object) -> JobResult:
    values = {"maker": Maker(worker="w1", adapter="a/b/c", version="2", tier="slot"), **given}
    return JobResult.model_validate(
        {"job": "j", "tenant": "acme", "state": state, "finished_at": 98.0, **values}
    )


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (
            result(),
            "succeeded 2.0 s ago at worker w1; it went there after 4.2 s, because w1 held a/b/c@2 and had "
            "room",
        ),
        (
            result(maker=Maker(worker="w1", tier="disk")),
            "succeeded 2.0 s ago at worker w1; it went there after 4.2 s, because w1 held a/b/c@2 and had "
            "room, which then took it from disk",
        ),
        (
            result(maker=Maker(worker="w9")),
            "succeeded 2.0 s ago at worker w9; no audit record says why it went there",
        ),
        (
            result(
                ResultState.FAILED,
                maker=None,
                error=ResultError(kind=ErrorKind.PERMANENT, code="unknown_adapter", message="no such one"),
            ),
            "failed 2.0 s ago without running: no such one (unknown_adapter)",
        ),
        (
            result(ResultState.EXPIRED, maker=None),
            "expired 2.0 s ago without running: its deadline had passed",
        ),
        (result(ResultState.CANCELLED, maker=None), "cancelled 2.0 s ago without running"),
    ],
)
def test_a_finished_job_says_where_and_why_there(ended: JobResult, said: str) -> None:
    found = replace(FOUND, result=ended, answers=(PARKED,), records=(DECISION,))
    assert (found.state, sentence(found)) == (JobState.FINISHED, f"job j {said}")


def test_a_job_that_went_to_a_living_worker_and_has_no_result_says_so() -> None:
    found = replace(FOUND, answers=(NOT_HERE,), records=(DECISION,), workers=frozenset(["w1"]))
    assert sentence(found) == ("job j was given to worker w1 10 s ago, which is alive, and has no result yet")


def test_a_queued_job_with_a_dispatcher_alive_says_what_can_be_in_the_way() -> None:
    queued = Queued(stored_at=40.0, lane="bulk", adapter=None)
    found = replace(FOUND, answers=(NOT_HERE,), queued=queued)
    assert sentence(found).startswith("job j has waited 60 s in lane bulk: no dispatcher has taken it")


@pytest.mark.parametrize(
    ("value", "said"),
    [(-1.0, "0.00 s"), (0.25, "0.25 s"), (4.26, "4.3 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_times_are_short(value: float, said: str) -> None:
    assert seconds(value) == said
