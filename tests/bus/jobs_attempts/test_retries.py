"""A failed job is tried again as its policy says, and its answer tells all of it (E3)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Protocol

import pytest

from lorayard_cli.app import run_command
from lorayard_schemas import headers
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.retry import Retry
from lorayard_schemas.tenant import TenantRecord, tenant_key
from lorayard_shared.bus.connection import Bus
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", **given: object) -> object: ...
    async def publish(self, body: Job, *, tenant: str = "acme", adapter: str | None = None) -> int: ...
    async def result(self, job: str, *, tenant: str = "acme") -> JobResult: ...
    async def left(self, kind: str = "jobs") -> int: ...
    async def dead_letters(self) -> list[DeadLetter]: ...


def failing(code: str, times: int = 99) -> EchoEngine:
    """Its first answers are failures of this code, all retryable."""
    left = [times]

    def answer(_request: GenerationRequest) -> Scripted:
        left[0] -= 1
        if left[0] < 0:
            return Scripted()
        failed = Failed(request_id="", kind=FailureKind.RETRYABLE, code=code, message="the step failed")
        return Scripted(outcome=failed)

    return EchoEngine(script=answer)


QUICK = Retry(base_seconds=0.1, cap_seconds=0.2)


async def test_a_job_that_succeeds_at_last_tells_what_failed_before__e3(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error", 2))
    await yard.publish(Job(id="j", prompt="x", retry=QUICK))
    result = await yard.result("j")
    assert (result.state, result.attempt) == (ResultState.SUCCEEDED, 3)
    assert [(one.attempt, one.worker, one.code) for one in result.attempts] == [
        (1, "w1", "engine_error"),
        (2, "w1", "engine_error"),
    ]
    waited = [one.waited_seconds for one in result.attempts]
    assert all(wait is not None and 0.1 <= wait <= 0.2 for wait in waited)
    assert await yard.dead_letters() == []


async def test_the_first_answer_tells_of_no_attempt(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).attempts == ()


async def test_a_job_has_as_many_attempts_as_it_asked_for_and_then_a_dead_letter__e3(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error"))
    job = Job(id="j", prompt="x", retry=QUICK.model_copy(update={"max_attempts": 2}))
    await yard.publish(job, adapter=None)
    result = await yard.result("j")
    assert (result.state, result.attempt, len(result.attempts)) == (ResultState.FAILED, 2, 2)
    (letter,) = await yard.dead_letters()
    assert (letter.job, letter.tenant, letter.code) == ("j", "acme", "engine_error")
    assert [one.attempt for one in letter.attempts] == [1, 2]
    assert letter.body == encode(job)


async def test_the_word_of_a_tenant_counts_where_its_job_says_nothing__e3(yard: Yard) -> None:
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("tenants"))
    record = TenantRecord(tenant="Ä b", retry=Retry(max_attempts=1, dead_letter=False))
    await bucket.put(tenant_key("Ä b"), encode(record))
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error"))
    await yard.publish(Job(id="j", prompt="x"), tenant="Ä b")
    assert (await yard.result("j", tenant="Ä b")).attempt == 1
    assert await yard.dead_letters() == []


async def test_a_failure_for_good_leaves_no_letter(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt=""))
    assert (await yard.result("j")).state is ResultState.FAILED
    assert await yard.dead_letters() == []


async def test_a_retry_never_waits_past_the_deadline(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error"), retry_base_seconds=600.0)
    for seconds in (1, 5, 40):  # a machine that is busy may not come to the first attempt in time
        await yard.publish(Job(id=f"j{seconds}", prompt="x", deadline=time.time() + seconds))
        result = await yard.result(f"j{seconds}")
        assert result.state is ResultState.EXPIRED
        if result.attempts:
            break
    assert [one.code for one in result.attempts] == ["engine_error"]


async def test_not_now_costs_no_attempt__e3(yard: Yard) -> None:
    await yard.dispatcher()
    heard = await yard.bus.nc.subscribe(yard.bus.subjects.delayed)
    await yard.worker(engine=failing("store_unreachable", 1), max_attempts=1)
    await yard.publish(Job(id="j", prompt="x"))
    told = (await heard.next_msg(timeout=60)).headers or {}
    assert told[headers.ATTEMPT] == "1"
    assert told[headers.SNOOZED].startswith("1 ")
    result = await yard.result("j")
    assert (result.state, result.attempt, result.attempts) == (ResultState.SUCCEEDED, 1, ())


async def test_not_now_for_too_long_counts_as_failed(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker(engine=failing("no_room"), max_attempts=1, snooze_seconds=0.5)
    await yard.publish(Job(id="j", prompt="x"))
    result = await yard.result("j")
    assert result.error is not None
    assert (result.state, result.error.code, result.attempt) == (ResultState.FAILED, "no_room", 1)


async def test_a_letter_stands_once_and_a_later_life_of_the_job_replaces_it(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error"), max_attempts=1)
    await yard.publish(Job(id="j", prompt="first"))
    await yard.result("j")
    await yard.bus.api(f"STREAM.PURGE.{yard.bus.subjects.stream('results')}")
    sequence = await yard.publish(Job(id="j", prompt="second"))
    await yard.result("j")

    stream, subject = yard.bus.subjects.stream("dead"), yard.bus.subjects.dead_letter("acme", None, "j")

    async def replaced() -> bool:
        found = await yard.bus.js.get_msg(stream, subject=subject, direct=True)
        return decode(DeadLetter, found.data or b"").sequence == sequence

    await wait_until(replaced)
    assert await yard.left("dead") == 1


async def test_an_operator_says_how_a_tenants_jobs_are_tried_again__e3(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        where = ("--url", yard.bus.settings.url, "--prefix", yard.bus.settings.prefix, "--json")
        return run_command(["tenants", *arguments, *where])

    assert await asyncio.to_thread(run, "retry", "acme", "--max-attempts", "1", "--no-dead-letter") == 0
    assert await asyncio.to_thread(run, "retry", "acme", "--max-attempts", "21") == 2
    capsys.readouterr()
    assert await asyncio.to_thread(run, "show", "acme") == 0
    assert json.loads(capsys.readouterr().out) == {
        "tenant": "acme",
        "retry": {"max_attempts": 1, "dead_letter": False},
    }
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error"))
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).attempt == 1
    assert await yard.dead_letters() == []


async def test_a_worker_whose_clock_is_an_hour_fast_tries_again_in_time__e3__g2(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = SimpleNamespace(time=lambda: time.time() + 3600)
    monkeypatch.setattr("lorayard_workers.service.retry.time", fast)
    await yard.dispatcher()
    await yard.worker(engine=failing("engine_error", times=1))
    await yard.publish(Job(id="j", prompt="hello", retry=QUICK))
    assert (await yard.result("j")).attempt == 2
