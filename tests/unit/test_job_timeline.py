"""What happened to a job, step by step, out of what is known of it (B11, F3)."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.conftest import job_decision

from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.audit import ReturnRecord
from lorayard_schemas.explanation import JobExplanation, WaitReason, Whereabouts
from lorayard_schemas.result import ErrorKind, JobResult, JobTimings, Maker, ResultError, ResultState, Usage
from lorayard_shared.explaining.evidence import Evidence, Queued, Schedule
from lorayard_shared.explaining.sentences import sentence
from lorayard_shared.explaining.timeline import Step, StepKind, failed_attempts, timeline

FOUND = Evidence(job="j", tenant="acme", now=100.0)
RESULT = JobResult(
    job="j",
    tenant="acme",
    state=ResultState.SUCCEEDED,
    text="x",
    maker=Maker(worker="w1", adapter="a/b/c", version="2", tier="host"),
    usage=Usage(prompt_tokens=12, cached_tokens=4, completion_tokens=30),
    timings=JobTimings(waited_ms=4200, queued_ms=500, load_ms=400, first_token_ms=900, total_ms=3000),
    finished_at=93.5,
)


def kinds(steps: tuple[Step, ...]) -> list[StepKind]:
    return [step.kind for step in steps]


def test_a_job_that_was_answered_has_every_step_in_order() -> None:
    steps = timeline(replace(FOUND, records=(job_decision(at=90.0, waited_ms=4200),), result=RESULT))
    assert kinds(steps) == [
        StepKind.PUBLISHED,
        StepKind.ASSIGNED,
        StepKind.STARTED,
        StepKind.FIRST_TOKEN,
        StepKind.ENDED,
    ]
    assert [round(step.at, 1) for step in steps] == [85.8, 90.0, 91.0, 91.4, 93.5]
    assert steps[0].text == "published in lane normal"
    assert steps[1].text == "given to worker w1 after 4.2 s, because w1 held a/b/c@2 and had room"
    assert steps[2].text.endswith("of which its adapter took 0.40 s from host memory")
    assert steps[4].text == "succeeded: 12 tokens read (4 of them known), 30 written"


def test_the_reason_of_a_decision_is_that_of_explain__b11() -> None:
    found = replace(FOUND, records=(job_decision(at=90.0),), result=RESULT)
    (assigned,) = (step for step in timeline(found) if step.kind is StepKind.ASSIGNED)
    assert assigned.text.partition("because ")[2] in sentence(found)


def test_a_job_that_waits_ends_with_what_explain_says__b11() -> None:
    live = JobExplanation(
        dispatcher="d1",
        where=Whereabouts.PARKED,
        workers=1,
        adapter="a/b/c@2",
        lane="bulk",
        waited_seconds=3.0,
        reason=WaitReason.NO_WORKER,
    )
    found = replace(FOUND, answers=(live,))
    steps = timeline(found)
    assert kinds(steps) == [StepKind.PUBLISHED, StepKind.WAITS]
    assert steps[0].at == 97.0
    assert f"job j {steps[-1].text}" == sentence(found)


def test_what_failed_and_what_was_given_back_is_told() -> None:
    failure = AttemptRecord(
        attempt=1, worker="w1", code="oom", message="no memory", at=92.0, waited_seconds=2
    )
    back = ReturnRecord(at=91.0, dispatcher="d1", job="j", tenant="acme", worker="w1", reason="no_room")
    found = replace(
        FOUND,
        records=(job_decision(at=90.0), back),
        schedule=Schedule(at=104.0, attempt=2, failure=failure),
    )
    steps = timeline(found)
    assert kinds(steps) == [
        StepKind.PUBLISHED,
        StepKind.ASSIGNED,
        StepKind.RETURNED,
        StepKind.FAILED,
        StepKind.WAITS,
        StepKind.DUE,
    ]
    assert steps[2].text == "worker w1 gave it back (no_room)"
    assert steps[3].text == "attempt 1 failed at worker w1: no memory (oom); again after 2.0 s"
    assert failed_attempts(found) == (failure,)


def test_a_job_that_never_ran_says_so_and_one_without_a_trace_says_nothing() -> None:
    error = ResultError(kind=ErrorKind.PERMANENT, code="unknown_adapter", message="there is no such adapter")
    refused = JobResult(job="j", tenant="acme", state=ResultState.FAILED, error=error, finished_at=99.0)
    assert [step.text for step in timeline(replace(FOUND, result=refused))] == [
        "failed: there is no such adapter (unknown_adapter)"
    ]
    cancelled = JobResult(job="j", tenant="acme", state=ResultState.CANCELLED, finished_at=99.0)
    assert timeline(replace(FOUND, result=cancelled))[-1].text == "cancelled without running"
    assert timeline(FOUND) == ()
    queued = replace(FOUND, queued=Queued(stored_at=95.0, lane="bulk", adapter=None))
    assert timeline(queued)[0] == Step(kind=StepKind.PUBLISHED, at=95.0, text="published in lane bulk")
