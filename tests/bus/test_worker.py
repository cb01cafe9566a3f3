"""What a worker does with its jobs: it answers, tries again, and gives back what a dead engine held."""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

import lorayard_shared.bus.payloads
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job, Lane, PayloadRef
from lorayard_schemas.result import ErrorKind, JobResult, ResultState
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import (
    Failed,
    FailureKind,
    FinishReason,
    Outcome,
    Succeeded,
    Tier,
    Timings,
)
from lorayard_workers.engine.protocol import OnTokens, Sink
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.errors import EngineDiedError

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class ScriptedEngine(EchoEngine):
    """An echo engine whose first answers to a prompt are written by the test."""

    def __init__(self, script: dict[str, list[FailureKind]] | None = None) -> None:
        super().__init__(script=self._next)
        self._failures = script or {}
        self.submitted: list[GenerationRequest] = []
        self.died = self.silent = False

    def _next(self, request: GenerationRequest) -> Scripted:
        self.submitted.append(request)
        failures = self._failures.get(str(request.prompt), [])
        if not failures:
            return Scripted(delay_seconds=math.inf if self.silent else 0.0)
        message = "thë step failed\r\nNats-TTL: 1"
        failure = Failed(request_id="", kind=failures.pop(0), code="engine_error", message=message)
        return Scripted(outcome=failure)

    def alive(self) -> bool:
        return not self.died and super().alive()


class ThreadedEngine(EchoEngine):
    """Answers from several threads at once, each outcome as soon as it can."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._work: list[tuple[GenerationRequest, Sink]] = []
        self._there = threading.Condition()
        self._threads = [threading.Thread(target=self._answer, daemon=True) for _ in range(threads)]
        self._over = False

    def start(self) -> None:
        super().start()
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        with self._there:
            self._over = True
            self._there.notify_all()
        for thread in self._threads:
            thread.join(timeout_seconds)
        super().stop(timeout_seconds=timeout_seconds)

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        with self._there:
            self._work.append((request, sink))
            self._there.notify()

    def _answer(self) -> None:
        while True:
            with self._there:
                self._there.wait_for(lambda: self._work or self._over)
                if self._over:
                    return
                request, sink = self._work.pop()
            sink(_success(request))


def _success(request: GenerationRequest) -> Outcome:
    return Succeeded(
        request_id=request.request_id,
        text="",
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=0,
        tier=Tier.NONE,
        timings=Timings(),
    )


def job(name: str, prompt: str | None = None) -> Job:
    return Job(id=name, prompt=name if prompt is None else prompt)


async def holds(yard: Yard, jobs: int) -> bool:
    return len((await yard.advert()).load.holding) == jobs


async def nothing_left(yard: Yard) -> bool:
    return await yard.left() == 0


async def test_an_answer_names_its_maker_in_full(yard: Yard, adapters: Path) -> None:
    """A4, B1: adapter, version, digest, base model, worker, rule and where the adapter was."""
    await yard.dispatcher(prewarm_copies=0)
    await yard.worker(adapters_dir=adapters)
    for name in ("first", "second"):
        await yard.publish(job(name), adapter=ADAPTER)
        await yard.result(name)
    found, second = await yard.result("first"), await yard.result("second")
    assert (found.state, found.text, found.attempt) == (ResultState.SUCCEEDED, "first", 1)
    maker = found.maker
    assert maker is not None
    assert (maker.worker, maker.adapter, maker.version, maker.rule) == ("w1", ADAPTER, "1", "explicit")
    assert maker.digest == (await yard.record(ADAPTER)).digest
    assert maker.base_digest == (await yard.advert()).base_digest
    assert maker.tier == "disk"
    assert second.maker is not None
    assert second.maker.tier == "slot"
    assert found.timings.waited_ms > 0


async def test_a_job_without_a_name_gets_the_default_adapter(yard: Yard, adapters: Path) -> None:
    await yard.dispatcher(default_adapter=ADAPTER)
    await yard.worker(adapters_dir=adapters)
    await yard.publish(job("j"))
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert (maker.adapter, maker.rule) == (ADAPTER, "default")


async def test_a_permanent_failure_is_answered_at_once(yard: Yard) -> None:
    engine = ScriptedEngine({"j": [FailureKind.PERMANENT]})
    await yard.dispatcher()
    await yard.worker(engine=engine)
    await yard.publish(job("j"))
    error = (await yard.result("j")).error
    assert error is not None
    assert (error.kind, error.code) == (ErrorKind.PERMANENT, "engine_error")
    assert len(engine.submitted) == 1


async def test_an_empty_prompt_is_answered_with_its_field(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j", ""))
    error = (await yard.result("j")).error
    assert error is not None
    assert (error.code, error.field) == ("empty_prompt", "prompt")


async def test_a_failure_that_may_pass_is_tried_again_with_its_history(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """E3: through the schedule, attempt by attempt, and given up after the last."""
    retry = FailureKind.RETRYABLE
    engine = ScriptedEngine({"passes": [retry], "stays": [retry] * 9})
    await yard.dispatcher()
    await yard.worker(engine=engine, max_attempts=2, retry_cap_seconds=1.0)
    delayed = await yard.bus.nc.subscribe(yard.bus.subjects.delayed)
    await yard.publish(job("passes"), lane=Lane.HIGH)
    await yard.publish(job("stays"), lane=Lane.HIGH)
    told = {}
    for _ in range(2):
        message = await delayed.next_msg(timeout=60)
        told[message.subject.rpartition(".")[2]] = message.headers or {}
    assert told["passes"]["Yard-Attempt"] == "2"
    assert '"attempt":1,"worker":"w1","code":"engine_error"' in told["passes"]["Yard-History"]
    assert "Nats-TTL" not in told["passes"], "a message of ours must not write headers"
    passed, stayed = await yard.result("passes"), await yard.result("stays")
    assert (passed.state, passed.attempt) == (ResultState.SUCCEEDED, 2)
    assert (stayed.state, stayed.attempt) == (ResultState.FAILED, 2)
    assert stayed.error is not None
    assert stayed.error.kind is ErrorKind.RETRYABLE
    assert [str(request.prompt) for request in engine.submitted].count("stays") == 2

    async def counted() -> bool:
        counters = (await yard.advert()).counters
        return (counters.jobs_succeeded, counters.jobs_failed) == (1, 1)

    await wait_until(counted)  # jobs, not attempts

    async def streams_empty() -> bool:
        return await yard.left() == 0 and await yard.left("delayed") == 0

    await wait_until(streams_empty)


async def test_two_tenants_with_one_job_id_are_both_tried_again(yard: Yard) -> None:
    """The second schedule must not pass for a duplicate of the first: its job would be acked and gone."""
    await yard.dispatcher()
    await yard.worker(engine=ScriptedEngine({"x": [FailureKind.RETRYABLE] * 2}), retry_cap_seconds=1.0)
    for tenant in ("one", "two"):
        await yard.publish(job("j", "x"), tenant=tenant)
    for tenant in ("one", "two"):
        assert (await yard.result("j", tenant=tenant)).attempt == 2


async def test_a_job_that_has_its_answer_is_not_run_again(yard: Yard, wait_until: WaitUntil) -> None:
    """G1: a crash between store and ack brings it back; its result is found, and it is acked."""
    engine = ScriptedEngine()
    first = await yard.dispatcher()
    await yard.publish(job("j"))

    async def parked() -> bool:
        return (await yard.status()).taken == 1

    await wait_until(parked)
    await first.stop()
    answer = JobResult(job="j", tenant="acme", state=ResultState.SUCCEEDED, text="of an earlier run")
    await ResultStore(yard.bus, PayloadStore(yard.bus)).store(answer)
    await yard.dispatcher("d2")
    await yard.worker(engine=engine)
    await wait_until(lambda: nothing_left(yard))
    assert engine.submitted == []
    assert await yard.result("j") == answer


async def test_no_outcome_is_lost_however_many_threads_tell_them(yard: Yard, wait_until: WaitUntil) -> None:
    """One that comes just as the loop takes the last must still wake it."""
    await yard.dispatcher()
    await yard.worker(engine=ThreadedEngine(4), rows=16, lookahead=0)
    count = 600
    for number in range(count):
        await yard.bus.nc.publish(f"{yard.bus.settings.prefix}.jobs.normal.acme._", encode(job(f"j{number}")))

    async def all_answered() -> bool:
        return await yard.left("results") == count

    await wait_until(all_answered)
    await wait_until(lambda: nothing_left(yard))


async def test_a_prompt_by_reference_is_read(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    ref = await PayloadStore(yard.bus).put("k", "a long prompt")
    await yard.publish(Job(id="j", prompt_ref=ref))
    assert (await yard.result("j")).text == "a long prompt"


async def test_a_prompt_that_is_gone_is_answered_with_its_field(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt_ref=PayloadRef(key="k", sha256="0" * 64, size_bytes=1)))
    error = (await yard.result("j")).error
    assert error is not None
    assert (error.code, error.field, error.kind) == ("payload_missing", "prompt_ref", ErrorKind.PERMANENT)


async def test_a_prompt_that_cannot_be_read_holds_no_room_for_ever(
    yard: Yard, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker lets go of the job and takes others; it comes again, and in the end it is poison."""
    monkeypatch.setattr(lorayard_shared.bus.payloads, "GET_SECONDS", 0.2)
    await yard.dispatcher(max_deliveries=2)
    await yard.worker(rows=1, lookahead=0)
    ref = await PayloadStore(yard.bus).put("k", "text")
    bucket = yard.bus.subjects.bucket("payloads")
    await yard.bus.api(f"STREAM.PURGE.OBJ_{bucket}", {"filter": f"$O.{bucket}.C.>"})
    await yard.publish(Job(id="stuck", prompt_ref=ref))
    await yard.publish(job("other"))
    assert (await yard.result("other")).state is ResultState.SUCCEEDED
    error = (await yard.result("stuck")).error
    assert error is not None
    assert error.kind is ErrorKind.POISON
    await wait_until(lambda: nothing_left(yard))


async def test_a_worker_whose_engine_died_says_so_and_gives_its_jobs_back(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """Alive but deaf would be worse: it would hold its jobs for ever."""
    engine = ScriptedEngine()
    engine.silent = True
    await yard.dispatcher()
    broken = await yard.worker(engine=engine, drain_seconds=60)
    await yard.publish(job("j"))
    await wait_until(lambda: holds(yard, 1))
    await yard.worker("w2")
    engine.died = True
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert maker.worker == "w2"
    with pytest.raises(EngineDiedError):
        await broken.stop()
