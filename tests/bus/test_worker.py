"""What a worker does with its jobs: run, refuse, retry, hand back; and what it tells of itself."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

import lorayard_shared.bus.payloads
import lorayard_workers.service.retry
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import (
    AdapterRef,
    AssignedJob,
    Assignment,
    AssignmentReply,
    CancelJob,
    CancelOutcome,
    CancelReply,
    RefusalReason,
)
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job, Lane, PayloadRef
from lorayard_schemas.names import key_token
from lorayard_schemas.result import ErrorKind, JobResult, ResultState
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_workers.app import EngineDiedError
from lorayard_workers.engine.echo import EchoEngine, Scripted
from lorayard_workers.engine.protocol import (
    Failed,
    FailureKind,
    FinishReason,
    GenerationRequest,
    OnTokens,
    Outcome,
    Sink,
    Succeeded,
    Tier,
    Timings,
)
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
NAME = "acme/tiny/echo"
OTHER_DIGEST = "sha256:" + "0" * 64


class Process(Protocol):
    """A dispatcher or worker that runs."""

    async def stop(self) -> None:
        """Stop it as SIGTERM does."""


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> Process: ...
    async def worker(self, name: str = "w1", *, engine: Any = None, **given: object) -> Process: ...
    async def publish(
        self,
        body: Job | bytes,
        *,
        lane: Lane = Lane.NORMAL,
        tenant: str = "acme",
        adapter: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> int: ...
    async def result(self, job: str, *, tenant: str = "acme") -> JobResult: ...
    async def stored(self, job: str, *, tenant: str = "acme") -> JobResult | None: ...
    async def status(self) -> DispatcherStatus: ...
    async def left(self, kind: str = "jobs") -> int: ...


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


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """A folder with one adapter, version 1."""
    make_tiny_adapter(tmp_path / "adapters" / NAME / "1", seed=1, targets=("q_proj",))
    return tmp_path / "adapters"


async def advert(yard: Yard, worker: str = "w1") -> WorkerAdvert:
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("workers"))
    return decode(WorkerAdvert, (await bucket.get(worker)).value or b"")


async def record(yard: Yard, version: str = "1") -> AdapterRecord:
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("adapters"))
    entry = await bucket.get(f"{key_token(NAME)}.{key_token(version)}")
    return decode(AdapterRecord, entry.value or b"")


async def holds(yard: Yard, jobs: int) -> bool:
    return len((await advert(yard)).load.holding) == jobs


async def nothing_left(yard: Yard) -> bool:
    return await yard.left() == 0


_keys = itertools.count(1)


def assigned(
    yard: Yard, name: str, *, digest: str | None = None, body: bytes | None = None, subject: str | None = None
) -> AssignedJob:
    """A job as a dispatcher would hand it over; nobody listens on its lease."""
    return AssignedJob(
        key=f"TEST-{next(_keys)}",
        lease="nobody.listens",
        subject=subject or f"{yard.bus.settings.prefix}.jobs.normal.acme._",
        body=encode(job(name)) if body is None else body,
        adapter=AdapterRef(name=NAME, version="1", digest=digest) if digest is not None else None,
    )


async def assign(yard: Yard, *jobs: AssignedJob, epoch: int | None = None) -> AssignmentReply:
    sent = Assignment(
        dispatcher="test",
        worker="w1",
        epoch=(await advert(yard)).epoch if epoch is None else epoch,
        number=1,
        load_subject=f"{yard.bus.settings.prefix}.load.test",
        jobs=jobs,
    )
    reply = await yard.bus.nc.request(yard.bus.subjects.assign("w1"), encode(sent), timeout=5)
    return decode(AssignmentReply, reply.data)


# ---- answers


async def test_an_answer_names_its_maker_in_full(yard: Yard, adapters: Path) -> None:
    """A4, B1: adapter, version, digest, base model, worker, rule and where the adapter was."""
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    for name in ("first", "second"):
        await yard.publish(job(name), adapter=NAME)
        await yard.result(name)
    found, second = await yard.result("first"), await yard.result("second")
    assert (found.state, found.text, found.attempt) == (ResultState.SUCCEEDED, "first", 1)
    maker = found.maker
    assert maker is not None
    assert (maker.worker, maker.adapter, maker.version, maker.rule) == ("w1", NAME, "1", "explicit")
    assert maker.digest == (await record(yard)).digest
    assert maker.base_digest == (await advert(yard)).base_digest
    assert maker.tier == "disk"
    assert second.maker is not None
    assert second.maker.tier == "slot"
    assert found.timings.waited_ms > 0


async def test_a_job_without_a_name_gets_the_default_adapter(yard: Yard, adapters: Path) -> None:
    await yard.dispatcher(default_adapter=NAME)
    await yard.worker(adapters_dir=adapters)
    await yard.publish(job("j"))
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert (maker.adapter, maker.rule) == (NAME, "default")


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
    yard: Yard, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E3: through the schedule, attempt by attempt, and given up after the last."""
    monkeypatch.setattr(lorayard_workers.service.retry, "CAP_SECONDS", 1.0)
    retry = FailureKind.RETRYABLE
    engine = ScriptedEngine({"passes": [retry], "stays": [retry] * 9})
    await yard.dispatcher()
    await yard.worker(engine=engine, max_attempts=2)
    delayed = await yard.bus.nc.subscribe(yard.bus.subjects.delayed)
    await yard.publish(job("passes"), lane=Lane.HIGH)
    await yard.publish(job("stays"), lane=Lane.HIGH)
    told = {}
    for _ in range(2):
        message = await delayed.next_msg(timeout=5)
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
        counters = (await advert(yard)).counters
        return (counters.jobs_succeeded, counters.jobs_failed) == (1, 1)

    await wait_until(counted)  # jobs, not attempts

    async def streams_empty() -> bool:
        return await yard.left() == 0 and await yard.left("delayed") == 0

    await wait_until(streams_empty)


async def test_two_tenants_with_one_job_id_are_both_tried_again(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second schedule must not pass for a duplicate of the first: its job would be acked and gone."""
    monkeypatch.setattr(lorayard_workers.service.retry, "CAP_SECONDS", 1.0)
    await yard.dispatcher()
    await yard.worker(engine=ScriptedEngine({"x": [FailureKind.RETRYABLE] * 2}))
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


# ---- prompts by reference


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


# ---- refusals


async def test_an_assignment_for_an_earlier_life_is_refused(yard: Yard) -> None:
    await yard.worker()
    reply = await assign(yard, assigned(yard, "j"), epoch=1)
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.STALE_EPOCH]


async def test_more_than_there_is_room_for_is_refused_job_by_job(yard: Yard) -> None:
    await yard.worker(rows=1, lookahead=1, echo_delay_seconds=60, drain_seconds=0)
    reply = await assign(yard, *(assigned(yard, f"j{number}") for number in range(3)))
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.NO_ROOM]
    assert (reply.load.room, len(reply.load.holding), reply.load.seen) == (0, 2, {"test": 1})


async def test_a_job_held_already_changes_its_lease_and_takes_no_room(yard: Yard) -> None:
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    one = assigned(yard, "j")
    await assign(yard, one)
    reply = await assign(yard, one.model_copy(update={"lease": "another.lease"}))
    assert reply.refusals == ()
    assert reply.load.holding == (one.key,)


async def test_an_adapter_the_worker_has_no_files_of_is_refused(yard: Yard, adapters: Path) -> None:
    """B6: a wrong guess costs a message, never a job."""
    await yard.worker(adapters_dir=adapters)
    good = assigned(yard, "j", digest=(await record(yard)).digest)
    reply = await assign(yard, good, assigned(yard, "k", digest=OTHER_DIGEST))
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.UNKNOWN_ADAPTER]
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


@pytest.mark.parametrize("verb", ["assign", "control.cancel"])
async def test_a_malformed_order_is_answered_with_its_field(verb: str, yard: Yard) -> None:
    await yard.worker()
    subject = f"{yard.bus.settings.prefix}.worker.w1.{verb}"
    reply = await yard.bus.nc.request(subject, b'{"dispatcher": 5, "tenant": 5}', timeout=5)
    assert reply.headers is not None
    assert reply.headers["Nats-Service-Error-Code"] == "400"
    assert {"dispatcher", "tenant"} & set(reply.headers["Nats-Service-Error"].replace(":", "").split())


async def test_a_job_that_is_not_here_is_not_cancelled_here(yard: Yard) -> None:
    await yard.worker()
    body = encode(CancelJob(tenant="acme", job="j"))
    reply = await yard.bus.nc.request(yard.bus.subjects.control("w1", "cancel"), body, timeout=5)
    assert decode(CancelReply, reply.data).outcome is CancelOutcome.NOT_HERE


async def test_a_draining_worker_refuses_and_the_job_goes_elsewhere(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    first = await yard.worker("w1", echo_delay_seconds=1.0)
    await yard.publish(job("running"))

    async def handed_over() -> bool:
        return (await yard.status()).handed_over == 1

    await wait_until(handed_over)
    stopping = asyncio.create_task(first.stop())

    async def draining() -> bool:
        return (await advert(yard)).load.draining

    await wait_until(draining)
    reply = await assign(yard, assigned(yard, "j"))
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.DRAINING]
    await yard.worker("w2")
    await yard.publish(job("after"))
    after, before = (await yard.result("after")).maker, (await yard.result("running")).maker
    assert after is not None
    assert before is not None
    assert (before.worker, after.worker) == ("w1", "w2"), "what ran finished where it was"
    await stopping


# ---- who lacks what


async def test_a_worker_without_the_files_does_not_spoil_those_of_one_that_has_them(
    yard: Yard, adapters: Path
) -> None:
    """B6: it is asked once and refuses; the job waits for the other, however busy that one is."""
    await yard.dispatcher()
    await yard.worker("has", adapters_dir=adapters, rows=1, lookahead=0, echo_delay_seconds=0.3)
    await yard.worker("lacks")
    for number in range(3):
        await yard.publish(job(f"j{number}"), adapter=NAME)
    for number in range(3):
        result = await yard.result(f"j{number}")
        assert result.maker is not None, result.error
        assert result.maker.worker == "has"


async def test_an_adapter_that_no_worker_has_the_files_of_is_answered(yard: Yard, adapters: Path) -> None:
    """It is registered, so it is not unknown; but nobody can serve it."""
    await yard.dispatcher()
    gone = await yard.worker("has", adapters_dir=adapters)
    await gone.stop()
    await yard.worker("lacks")
    await yard.publish(job("j"), adapter=NAME)
    error = (await yard.result("j")).error
    assert error is not None
    assert (error.code, error.kind) == ("adapter_unavailable", ErrorKind.RETRYABLE)


async def test_other_bytes_under_a_registered_version_are_not_served(
    yard: Yard, adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version never changes its bytes (A4): the second worker serves its other version, not this one."""
    await yard.worker("w1", adapters_dir=adapters)
    other = tmp_path / "other"
    make_tiny_adapter(other / NAME / "1", seed=2, targets=("q_proj",))
    make_tiny_adapter(other / NAME / "2", seed=3, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker("w2", adapters_dir=other)
    assert (await record(yard)).registered_by == "w1"
    assert (await record(yard, "2")).registered_by == "w2"
    assert "adapter_conflicted" in capsys.readouterr().out
    for name, version, worker in (("j1", "1", "w1"), ("j2", "2", "w2")):
        await yard.publish(job(name), adapter=f"{NAME}@{version}")
        maker = (await yard.result(name)).maker
        assert maker is not None
        assert (maker.worker, maker.digest) == (worker, (await record(yard, version)).digest)


async def test_a_folder_nobody_can_ask_for_hides_itself_and_not_the_worker(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """G3: upper-case names and odd versions are said in the log; everything else is served."""
    make_tiny_adapter(adapters / "Acme" / "tiny" / "echo" / "1", seed=2, targets=("q_proj",))
    make_tiny_adapter(adapters / NAME / "v 1", seed=3, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    told = capsys.readouterr().out
    assert told.count("adapter_refused") == 2
    await yard.publish(job("j"), adapter=NAME)
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def test_the_advert_names_the_folders_that_are_not_served(yard: Yard, adapters: Path) -> None:
    """G5: whoever asks for one should not have to read a worker's log to learn why."""
    (adapters / NAME / "2").mkdir()
    await yard.worker(adapters_dir=adapters)
    (refused,) = (await advert(yard)).refused_adapters
    assert (refused.name, refused.version) == (NAME, "2")
    assert "adapter_config.json is missing" in refused.reason


# ---- start and stop


async def test_a_stopping_worker_hands_back_at_once_what_it_cannot_finish(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """G1: nobody waits for its leases to run out."""
    yard = long_lease_yard
    await yard.dispatcher()
    first = await yard.worker("w1", echo_delay_seconds=60, drain_seconds=0.0)
    for number in range(5):
        await yard.publish(job(f"j{number}"))
    await wait_until(lambda: holds(yard, 5))
    await first.stop()
    await yard.worker("w2")
    for number in range(5):
        maker = (await yard.result(f"j{number}")).maker
        assert maker is not None
        assert maker.worker == "w2"


async def test_a_stopping_worker_gives_back_each_lease_itself(yard: Yard) -> None:
    """Whether or not a dispatcher lives that would do it for it."""
    told = await yard.bus.nc.subscribe("a.lease")
    worker = await yard.worker(echo_delay_seconds=60, drain_seconds=0.0)
    await assign(yard, assigned(yard, "j").model_copy(update={"lease": "a.lease"}))
    await worker.stop()
    assert (await told.next_msg(timeout=5)).data == b"-NAK"


async def test_an_idle_worker_stops(yard: Yard) -> None:
    """In Python 3.11 a cancel that meets what is waited for can be swallowed; it must not hang for that."""
    worker = await yard.worker()
    async with asyncio.timeout(10):
        await worker.stop()


async def test_a_worker_takes_its_advert_down_when_it_leaves(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    worker = await yard.worker()

    async def workers() -> tuple[str, ...]:
        return (await yard.status()).workers

    async def known() -> bool:
        return await workers() == ("w1",)

    async def unknown() -> bool:
        return await workers() == ()

    await wait_until(known)
    await worker.stop()
    await wait_until(unknown)


async def test_a_worker_that_stops_in_order_is_logged_as_left(
    yard: Yard, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    """`worker_died` is for deaths: an operator who restarts workers must not be told of any."""
    await yard.dispatcher()
    worker = await yard.worker()
    told: list[str] = []

    def heard(event: str) -> bool:
        told.append(capsys.readouterr().out)
        return event in "".join(told)

    await wait_until(lambda: heard("worker_appeared"))
    await worker.stop()
    await wait_until(lambda: heard("worker_left") or heard("worker_died"))
    assert "worker_died" not in "".join(told)


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


async def test_the_advert_tells_what_the_worker_holds(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    """A4: the loaded adapters, by digest, in the bucket that routing reads."""
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters, slots=3, rows=7, lookahead=2)
    fresh = await advert(yard)
    assert (fresh.slots, fresh.slot_count, fresh.rows_max, fresh.load.room) == ((), 3, 7, 9)
    await yard.publish(job("j"), adapter=NAME)
    await yard.result("j")
    digest = (await record(yard)).digest

    async def told() -> bool:
        now = await advert(yard)
        return [slot.digest for slot in now.slots] == [digest] and now.counters.jobs_succeeded == 1

    await wait_until(told)
    later = await advert(yard)
    assert later.sequence > fresh.sequence
    assert later.epoch == fresh.epoch
    assert (later.counters.slot_loads, later.load.room) == (1, 9)
