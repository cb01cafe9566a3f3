"""Jobs for one worker are cut into requests that fit a message; none is lost, order is kept."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.conftest import make_taken

from lorayard_dispatcher.hand_over import MAX_JOBS, batches
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_schemas.assignment import AdapterRef, AssignedJob, Assignment
from lorayard_schemas.codec import encode
from lorayard_schemas.job import MAX_JOB_BYTES

SERVER_LIMIT_BYTES = 2**20


def parked(number: int, body_bytes: int, history_bytes: int = 0) -> ParkedJob:
    key = f"YARD_JOBS-{number}"
    taken = make_taken(
        key,
        tenant="acme",
        adapter="a/b/c",
        lease=f"$JS.ACK.YARD_JOBS.dispatch-normal.1.{number}.{number}.1700000000000000000.1000",
        subject="yard.jobs.normal.acme.a/b/c",
        job=f"job-{number}",
        body=bytes(body_bytes),
        history="h" * history_bytes,
        enqueued_at=1.0,
    )
    waiting = WaitingJob(key=key, group="", tenant="acme", priority=2, enqueued_at=1.0)
    ref = AdapterRef(name="a/b/c", version="1", digest="sha256:" + "ab" * 32)
    return ParkedJob(taken=taken, waiting=waiting, adapter=ref, rule="explicit")


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 100, 10_000, 300_000, MAX_JOB_BYTES // 2]), st.sampled_from([0, 900, 300_000])
        ),
        max_size=12,
    )
)
def test_every_batch_fits_a_message_and_none_is_lost(sizes: list[tuple[int, int]]) -> None:
    jobs = [parked(number, body, history) for number, (body, history) in enumerate(sizes, start=1)]
    cut = list(batches(jobs))
    assert [one for batch in cut for one in batch] == jobs
    assert all(batch for batch in cut)
    for batch in cut:
        sent = Assignment(
            dispatcher="d",
            worker="w",
            epoch=1,
            number=1,
            load_subject="yard.load.d",
            jobs=tuple(AssignedJob.model_validate(one.assigned(2.0)) for one in batch),
        )
        assert len(encode(sent)) < SERVER_LIMIT_BYTES


def test_a_batch_has_a_bounded_number_of_jobs() -> None:
    cut = list(batches([parked(number, 1) for number in range(1, 2 * MAX_JOBS + 2)]))
    assert [len(batch) for batch in cut] == [MAX_JOBS, MAX_JOBS, 1]


def test_the_biggest_job_there_is_goes_alone() -> None:
    (batch,) = batches([parked(1, MAX_JOB_BYTES - 1024)])
    assert len(batch) == 1


def test_a_job_handed_over_says_how_long_it_waited() -> None:
    assert parked(1, 1).assigned(3.5)["waited_ms"] == 2500.0
    assert parked(1, 1).assigned(0.5)["waited_ms"] == 0.0, "clocks differ; nobody waits less than nothing"


def test_a_job_handed_over_is_what_a_worker_reads() -> None:
    one = parked(1, 3, history_bytes=2)
    taken = one.taken
    # Whatever every job has; the others have tests of their own.
    others = {"additions", "alias", "composition", "confidence", "snoozed"}
    assert set(one.assigned(2.0)) == set(AssignedJob.model_fields) - others
    assert AssignedJob.model_validate(one.assigned(2.0)) == AssignedJob(
        key=taken.key,
        lease=taken.lease,
        subject=taken.subject,
        body=taken.body,
        job=taken.job,
        attempt=1,
        deliveries=1,
        history="hh",
        adapter=one.adapter,
        rule="explicit",
        waited_ms=1000.0,
        force=False,
    )
    base = replace(one, adapter=None, taken=replace(taken, history=None))
    assert AssignedJob.model_validate(base.assigned(2.0)).adapter is None
