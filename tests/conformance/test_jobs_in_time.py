"""What every yard does, whatever it is made of: jobs for later, deadlines, cancels."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.conformance.conftest import SECONDS, Until, failure_of

from lorayard import (
    CancelOutcome,
    CancelQuery,
    Client,
    InvalidRequestError,
    JobCancelledError,
    JobExpiredError,
    ResultState,
)
from lorayard_schemas.result import ErrorKind

# Time


async def test_a_delayed_job_waits_for_its_time(client: Client) -> None:
    before = time.time()
    handle = await client.submit("later", delay_seconds=600)
    (job,) = await client.scheduled()
    assert (job.job_id, job.attempt) == (handle.id, 1)
    assert job.at > before + 590
    assert not await handle.done()
    await handle.cancel()


async def test_a_delayed_job_is_answered_when_its_time_has_come(client: Client) -> None:
    handle = await client.submit("later", delay_seconds=0.3)
    assert (await handle.result(SECONDS)).text == "later"
    assert not await client.scheduled()


async def test_a_time_that_is_over_means_now(client: Client) -> None:
    handle = await client.submit("now", at=datetime.now(UTC) - timedelta(hours=1))
    assert (await handle.result(SECONDS)).text == "now"


async def test_a_job_that_runs_past_its_deadline_expires(client: Client) -> None:
    handle = await client.submit("never", deadline_seconds=0.5)
    with pytest.raises(JobExpiredError):
        await handle.result(SECONDS)
    outcome = await handle.outcome()
    assert (outcome.state, outcome.error, outcome.text) == (ResultState.EXPIRED, None, "")


async def test_a_job_whose_next_attempt_is_past_its_deadline_expires(client: Client) -> None:
    wish = {"base_seconds": 60, "cap_seconds": 60}
    handle = await client.submit(f"fail 9 engine_error {client}", retry=wish, deadline_seconds=0.5)
    assert (await handle.outcome(SECONDS)).state is ResultState.EXPIRED


async def test_a_deadline_before_the_start_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="would expire"):
        await client.submit("later", delay_seconds=60, deadline_seconds=30)


async def test_a_soft_run_limit_ends_a_run_with_what_it_has(client: Client) -> None:
    result = await client.generate("wait 60 seconds", run_limit_seconds=0.2, timeout_seconds=SECONDS)
    assert (result.state, result.finish_reason) == (ResultState.SUCCEEDED, "time")


async def test_a_hard_run_limit_fails_the_job(client: Client) -> None:
    handle = await client.submit("wait 60 seconds", run_limit_hard_seconds=0.2)
    assert await failure_of(handle) == (ErrorKind.PERMANENT, "run_limit", "run_limit_hard_seconds")


# Cancel


async def test_a_running_job_is_cancelled(client: Client) -> None:
    handle = await client.submit("never")
    assert await handle.cancel() is CancelOutcome.CANCELLED
    with pytest.raises(JobCancelledError):
        await handle.result(SECONDS)


async def test_a_scheduled_job_is_cancelled_and_leaves_the_schedule(
    client: Client, wait_until: Until
) -> None:
    handle = await client.submit("later", delay_seconds=600)
    assert await handle.cancel() is CancelOutcome.CANCELLED
    assert (await handle.outcome(SECONDS)).state is ResultState.CANCELLED

    async def gone() -> bool:
        return not await client.scheduled()

    await wait_until(gone)


async def test_a_job_that_waits_to_be_tried_again_is_cancelled(client: Client, wait_until: Until) -> None:
    handle = await client.submit(
        f"fail 9 engine_error {client}", retry={"base_seconds": 600, "cap_seconds": 600}
    )

    async def waits() -> bool:
        return [(job.job_id, job.attempt) for job in await client.scheduled()] == [(handle.id, 2)]

    await wait_until(waits)
    assert await handle.cancel() is CancelOutcome.CANCELLED
    assert (await handle.outcome(SECONDS)).state is ResultState.CANCELLED


async def test_a_job_that_has_ended_stays_as_it_ended(client: Client) -> None:
    handle = await client.submit("hello")
    await handle.result(SECONDS)
    assert await handle.cancel() is CancelOutcome.FINISHED
    assert (await handle.result(SECONDS)).text == "hello"


async def test_a_job_that_nobody_knows_is_unknown(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # What cannot be looked for in a moment counts as there, and a busy machine has none.
    monkeypatch.setattr("lorayard_shared.jobs.cancelling.LOOK_SECONDS", SECONDS)
    assert await client.handle("nobody-has-submitted-this").cancel() is CancelOutcome.UNKNOWN


async def test_a_second_cancel_comes_too_late(client: Client) -> None:
    handle = await client.submit("never")
    await handle.cancel()
    await handle.outcome(SECONDS)
    assert await handle.cancel() is CancelOutcome.FINISHED


async def test_many_are_cancelled_by_id_and_each_is_told(client: Client) -> None:
    running, ended = await client.submit("never"), await client.submit("hello")
    await ended.result(SECONDS)
    report = await client.cancel_many([running.id, ended.id])
    assert report.outcomes == {running.id: CancelOutcome.CANCELLED, ended.id: CancelOutcome.FINISHED}


async def test_jobs_are_cancelled_by_a_query(client: Client) -> None:
    bulk = await client.submit("later", lane="bulk", delay_seconds=600)
    other = await client.submit("later", delay_seconds=600)
    report = await client.cancel_where(CancelQuery(lane="bulk"))
    assert dict(report.outcomes) == {bulk.id: CancelOutcome.CANCELLED}
    assert not await other.done()
    await other.cancel()
