from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from lorayard import (
    BusUnavailableError,
    EventKind,
    JobFailedError,
    NoDispatcherError,
    ResultState,
    SubmitUnconfirmedError,
    YardFullError,
    YardNotReadyError,
)
from lorayard.testing import (
    Answer,
    MemoryClient,
    MemoryYard,
    Permanent,
    Retryable,
    WorkerLost,
    YardJob,
)
from lorayard_schemas.result import ErrorKind
from lorayard_shared.settings import YardSettings

ADAPTER = "acme/tiny/summary"
LEASE_SECONDS = YardSettings().ack_wait_seconds


@pytest.fixture
def yard() -> MemoryYard:
    return MemoryYard()


@pytest.fixture
async def client(yard: MemoryYard) -> AsyncIterator[MemoryClient]:
    async with yard.client() as client:
        yield client


async def test_inline_a_job_is_done_when_submit_returns() -> None:
    yard = MemoryYard(lambda job: job.prompt.upper(), mode="inline")
    async with yard.client() as client:
        handle = await client.submit("hello")
        assert (await handle.result(5)).text == "HELLO"


async def test_inline_attempts_follow_each_other_and_time_stands_still() -> None:
    yard = MemoryYard(mode="inline")
    before = yard.clock.now
    yard.fail_next("engine_error", times=2)
    async with yard.client() as client:
        result = await client.generate("hello", timeout_seconds=5)
    assert result.attempt == 3
    assert [record.code for record in result.attempts] == ["engine_error", "engine_error"]
    assert yard.clock.now == before


async def test_inline_a_delayed_job_is_done_when_the_clock_reaches_it() -> None:
    yard = MemoryYard(mode="inline")
    async with yard.client() as client:
        handle = await client.submit("later", delay_seconds=60)
        yard.clock.advance(59)
        assert not await handle.done()
        yard.clock.advance(1)
        assert (await handle.result(5)).text == "later"


def test_a_blocking_client_has_the_same_yard() -> None:
    yard = MemoryYard(mode="inline")
    with yard.sync_client("acme") as client:
        assert client.generate("hello", timeout_seconds=5).text == "hello"
    yard.assert_submitted(tenant="acme")


async def test_manual_a_job_waits_until_it_is_drained(yard: MemoryYard, client: MemoryClient) -> None:
    handle = await client.submit("hello")
    assert not await handle.done()
    report = yard.drain()
    assert report.count(ResultState.SUCCEEDED) == 1
    assert (await handle.result(5)).text == "hello"


async def test_work_one_does_one_job_of_the_most_urgent_lane(yard: MemoryYard, client: MemoryClient) -> None:
    await client.submit("bulk", lane="bulk")
    urgent = await client.submit("urgent", lane="urgent")
    ended = yard.work_one()
    assert ended is not None
    assert ended.job_id == urgent.id
    assert len(yard.drain().runs) == 1
    assert yard.work_one() is None


async def test_a_drain_tells_how_each_run_ended(yard: MemoryYard, client: MemoryClient) -> None:
    await client.submit("one")
    await client.submit("two")
    await client.submit("later", delay_seconds=10)
    yard.fail_next("bad_prompt", field="prompt")
    yard.fail_next("engine_error")
    report = yard.drain()
    assert [run.code for run in report.runs] == ["bad_prompt", "engine_error"]
    assert report.runs[1].again_in_seconds is not None
    assert report.scheduled == 2
    assert "2 runs; 2 scheduled, 0 held" in str(report)
    whole = yard.drain(with_scheduled=True)
    assert whole.count(ResultState.SUCCEEDED) == 2
    assert whole.scheduled == 0


async def test_a_drain_without_an_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorayard.testing.memory_yard.MOST_RUNS", 5)
    async with (yard := MemoryYard()).client() as client:
        for _ in range(6):
            await client.submit("hello")
        with pytest.raises(RuntimeError, match="after 5 runs there are still jobs"):
            yard.drain()


async def test_a_handler_sees_the_job_and_may_say_more_than_a_text() -> None:
    seen: list[YardJob] = []

    def handle(job: YardJob) -> Answer:
        seen.append(job)
        return Answer(text="short", finish_reason="length", completion_tokens=2)

    yard = MemoryYard(handle, mode="inline")
    async with yard.client("acme") as client:
        result = await client.generate(
            "hello", adapter=f"{ADAPTER}@2", metadata={"a": "b"}, timeout_seconds=5
        )
    (job,) = seen
    assert (job.tenant, job.adapter, job.prompt) == ("acme", f"{ADAPTER}@2", "hello")
    assert job.request.metadata == {"a": "b"}
    assert (result.adapter, result.version, result.finish_reason) == (ADAPTER, "2", "length")
    assert result.usage.completion_tokens == 2


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (Permanent("bad_prompt", "no"), ErrorKind.PERMANENT, "bad_prompt"),
        (Retryable("engine_error", "no"), ErrorKind.RETRYABLE, "engine_error"),
    ],
)
async def test_what_a_handler_raises_decides_the_job(raised: Exception, kind: ErrorKind, code: str) -> None:
    def handle(_: YardJob) -> str:
        raise raised

    async with MemoryYard(handle, mode="inline").client() as client:
        with pytest.raises(JobFailedError) as caught:
            await client.generate("hello", timeout_seconds=5)
    error = caught.value.result.error
    assert error is not None
    assert (error.kind, error.code) == (kind, code)


async def test_a_handlers_own_mistake_comes_out_and_leaves_the_job_queued() -> None:
    def handle(_: YardJob) -> str:
        raise ZeroDivisionError

    yard = MemoryYard(handle)
    async with yard.client() as client:
        await client.submit("hello")
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                yard.drain()


def test_a_coroutine_function_is_no_handler() -> None:
    async def handle(job: YardJob) -> str:
        return job.prompt

    with pytest.raises(TypeError, match="a plain function is needed"):
        MemoryYard(handle)  # type: ignore[arg-type]  # the mistake  # pyright: ignore[reportArgumentType]


async def test_a_lost_worker_costs_no_attempt_and_its_job_comes_again_when_the_lease_has_run_out(
    yard: MemoryYard, client: MemoryClient
) -> None:
    handle = await client.submit("hello")
    yard.lose_worker()
    assert yard.drain().held == 1
    yard.clock.advance(LEASE_SECONDS - 1)
    assert not yard.drain().runs
    yard.clock.advance(1)
    assert yard.drain().count(ResultState.SUCCEEDED) == 1
    result = await handle.result(5)
    assert (result.attempt, result.attempts) == (1, ())


async def test_a_job_under_which_three_workers_die_is_poison(yard: MemoryYard, client: MemoryClient) -> None:
    handle = await client.submit("hello")
    yard.lose_worker(times=3)
    yard.drain(with_scheduled=True)
    outcome = await handle.outcome(5)
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.code) == (ErrorKind.POISON, "delivered_too_often")
    (letter,) = await client.dead.list()
    assert (letter.job, len(letter.told.attempts)) == (handle.id, 3)
    page = await client.dead.newest(tenant=letter.told.tenant or "")
    assert (page.letters, page.total, page.older) == ((letter,), 1, None)


async def test_whoever_lost_the_lease_says_nothing_that_counts(
    yard: MemoryYard, client: MemoryClient
) -> None:
    handle = await client.submit("hello")
    first = yard.take()
    assert first is not None
    yard.clock.advance(LEASE_SECONDS)
    assert not first.renew()
    second = yard.take()
    assert second is not None
    assert second.job.deliveries == 2
    assert first.answer("the first").state is None
    assert second.answer("the second").state is ResultState.SUCCEEDED
    assert (await handle.result(5)).text == "the second"


async def test_a_renewed_lease_holds(yard: MemoryYard, client: MemoryClient) -> None:
    await client.submit("hello")
    held = yard.take()
    assert held is not None
    for _ in range(5):
        yard.clock.advance(LEASE_SECONDS - 1)
        assert held.renew()
    assert yard.take() is None


async def test_what_is_handed_back_is_given_out_at_once(yard: MemoryYard, client: MemoryClient) -> None:
    await client.submit("hello")
    held = yard.take()
    assert held is not None
    held.hand_back()
    assert yard.take() is not None


async def test_a_put_off_attempt_is_no_failed_one(yard: MemoryYard, client: MemoryClient) -> None:
    handle = await client.submit("hello")
    yard.fail_next("no_room", times=4)
    yard.drain(with_scheduled=True)
    result = await handle.result(5)
    assert (result.attempt, result.attempts) == (1, ())


async def test_a_cancelled_run_says_nothing_that_counts(yard: MemoryYard, client: MemoryClient) -> None:
    handle = await client.submit("hello")
    held = yard.take()
    assert held is not None
    await handle.cancel()
    assert not held.held
    assert held.answer("too late").state is None
    assert (await handle.outcome(5)).state is ResultState.CANCELLED


async def test_a_run_that_takes_too_long_ends_as_its_limits_say() -> None:
    yard = MemoryYard(lambda job: Answer(text=job.prompt, took_seconds=10.0), mode="inline")
    async with yard.client() as client:
        soft = await client.generate("soft", run_limit_seconds=5, timeout_seconds=5)
        hard = await (await client.submit("hard", run_limit_hard_seconds=5)).outcome(5)
        late = await (await client.submit("late", deadline_seconds=5)).outcome(5)
    assert (soft.text, soft.finish_reason) == ("soft", "time")
    assert hard.error is not None
    assert hard.error.code == "run_limit"
    assert late.state is ResultState.EXPIRED


async def test_an_adapter_that_the_yard_does_not_know_is_refused() -> None:
    async with MemoryYard(mode="inline", adapters=[ADAPTER]).client() as client:
        assert (await client.generate("hello", adapter=f"{ADAPTER}@1", timeout_seconds=5)).text == "hello"
        with pytest.raises(JobFailedError, match="acme/tiny/other is not registered"):
            await client.generate("hello", adapter="acme/tiny/other", timeout_seconds=5)


async def test_a_full_yard_takes_nothing_until_there_is_room(yard: MemoryYard, client: MemoryClient) -> None:
    with yard.full(), pytest.raises(YardFullError):
        await client.submit("hello")
    await client.submit("hello")
    yard.assert_submitted()


async def test_while_the_bus_is_away_everything_fails_at_once(yard: MemoryYard, client: MemoryClient) -> None:
    handle = await client.submit("before")
    with yard.away():
        with pytest.raises(SubmitUnconfirmedError):
            await client.submit("hello")
        for asked in (handle.cancel(), handle.done(), client.scheduled(), yard.client().open()):
            with pytest.raises(BusUnavailableError):
                await asked
        yard.drain()
    assert (await handle.result(5)).text == "before"
    await client.submit("after")
    yard.assert_submitted(times=2)


async def test_who_waits_hears_of_a_result_stored_while_the_bus_was_away(
    yard: MemoryYard, client: MemoryClient, wait_until: Callable[..., Awaitable[None]]
) -> None:
    handle = await client.submit("hello")
    waiting = asyncio.create_task(handle.result(10))
    await asyncio.sleep(0)
    with yard.away():
        yard.drain()
    await wait_until(waiting.done)
    assert waiting.result().text == "hello"


async def test_what_is_not_modelled_says_so(client: MemoryClient) -> None:
    with pytest.raises(YardNotReadyError):
        await client.adapters()
    with pytest.raises(NoDispatcherError):
        await client.placements()


async def test_what_was_submitted_can_be_asserted(yard: MemoryYard, client: MemoryClient) -> None:
    await client.submit("sum this up", adapter=ADAPTER)
    await client.submit("later", delay_seconds=5)
    (job,) = yard.assert_submitted(adapter=ADAPTER, tenant="default", prompt="sum", lane="normal")
    assert job.prompt == "sum this up"
    yard.assert_submitted(times=2)
    yard.refute_submitted(adapter="acme/tiny/other")
    yard.drain(with_scheduled=True)
    assert [job.at is None for job in yard.submitted()] == [True, False]


async def test_a_failed_assertion_lists_what_was_submitted(yard: MemoryYard, client: MemoryClient) -> None:
    with pytest.raises(AssertionError, match="nothing was submitted"):
        yard.assert_submitted()
    await client.submit("sum this up" * 20, adapter=ADAPTER)
    with pytest.raises(AssertionError) as missing:
        yard.assert_submitted(adapter=ADAPTER, prompt="pirate", times=2)
    assert f"2 submitted with adapter={ADAPTER!r}, prompt='pirate' wanted, 0 found" in str(missing.value)
    assert re.search(r"- adapter='acme/tiny/summary', .*: 'sum this up.*\.\.\.'", str(missing.value))
    await client.submit("again")
    with pytest.raises(AssertionError, match="1 submitted with any job wanted, 2 found"):
        yard.assert_submitted()
    with pytest.raises(AssertionError, match="none submitted with tenant='default' wanted, 2 found"):
        yard.refute_submitted(tenant="default")


async def test_an_unknown_code_is_no_failure(yard: MemoryYard) -> None:
    with pytest.raises(ValueError, match=r"'engine_eror' is no code .*engine_error"):
        yard.fail_next("engine_eror")


def test_time_does_not_run_backwards(yard: MemoryYard) -> None:
    with pytest.raises(ValueError, match="time does not run backwards"):
        yard.clock.advance(-1)


async def test_a_handler_may_lose_its_worker() -> None:
    def handle(job: YardJob) -> str:
        if job.deliveries == 1:
            raise WorkerLost
        return f"delivery {job.deliveries}"

    yard = MemoryYard(handle, mode="inline")
    async with yard.client() as client:
        handle_ = await client.submit("hello")
        yard.clock.advance(LEASE_SECONDS)
        assert (await handle_.result(5)).text == "delivery 2"


async def test_a_streamed_job_whose_worker_was_lost_begins_anew(
    yard: MemoryYard, client: MemoryClient
) -> None:
    handle = await client.submit("hello", stream=True)
    first = yard.take()
    assert first is not None
    first.tell("hell")
    yard.clock.advance(LEASE_SECONDS)
    yard.drain()
    events = [event async for event in handle.events(timeout_seconds=10)]
    kinds = [event.kind for event in events]
    assert EventKind.RESTARTED in kinds
    again = events[kinds.index(EventKind.RESTARTED) :]
    assert "".join(event.text for event in again) == "hello"
