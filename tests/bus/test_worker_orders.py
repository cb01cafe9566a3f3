"""What a worker is asked by a dispatcher: it takes, refuses, or hands back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_schemas.assignment import (
    AdapterRef,
    AliasRef,
    AssignedJob,
    Assignment,
    AssignmentReply,
    CancelJob,
    CancelOutcome,
    CancelReply,
    RefusalReason,
)
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.protocol import OnTokens, Sink
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.service.held_jobs import FORCED_JOBS

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

OTHER_DIGEST = "sha256:" + "0" * 64


def job(name: str, prompt: str | None = None) -> Job:
    return Job(id=name, prompt=name if prompt is None else prompt)


class Slow(EchoEngine):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[tuple[GenerationRequest, Sink]] = []

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        self._asked.append((request, sink))

    def end(self) -> None:
        for request, sink in self._asked:
            super().submit(request, sink)


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
        adapter=AdapterRef(name=ADAPTER, version="1", digest=digest) if digest is not None else None,
    )


async def assign(yard: Yard, *jobs: AssignedJob, epoch: int | None = None) -> AssignmentReply:
    sent = Assignment(
        dispatcher="test",
        worker="w1",
        epoch=(await yard.advert()).epoch if epoch is None else epoch,
        number=1,
        load_subject=f"{yard.bus.settings.prefix}.load.test",
        jobs=jobs,
    )
    reply = await yard.bus.nc.request(yard.bus.subjects.assign("w1"), encode(sent), timeout=30)
    return decode(AssignmentReply, reply.data)


async def test_an_assignment_for_an_earlier_life_is_refused(yard: Yard) -> None:
    await yard.worker()
    reply = await assign(yard, assigned(yard, "j"), epoch=1)
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.STALE_EPOCH]


async def test_more_than_there_is_room_for_is_refused_job_by_job(yard: Yard) -> None:
    await yard.worker(rows=1, lookahead=1, echo_delay_seconds=60, drain_seconds=0)
    reply = await assign(yard, *(assigned(yard, f"j{number}") for number in range(3)))
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.NO_ROOM]
    assert (reply.load.room, len(reply.load.holding), reply.load.seen) == (0, 2, {"test": 1})


async def test_a_forced_job_is_queued_over_the_room_and_only_a_few_are(yard: Yard) -> None:
    """B6: views were wrong about it twice, so it waits here instead of going round."""
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    jobs = [assigned(yard, f"j{number}") for number in range(2 + FORCED_JOBS)]
    await assign(yard, jobs[0])
    forced = [job.model_copy(update={"force": True}) for job in jobs[1:]]
    reply = await assign(yard, *forced)
    assert [(refusal.key, refusal.reason) for refusal in reply.refusals] == [
        (jobs[-1].key, RefusalReason.NO_ROOM)
    ]
    assert reply.load.room == 0


async def test_force_opens_no_door_but_that_of_room(yard: Yard, adapters: Path) -> None:
    await yard.worker(adapters_dir=adapters)
    unknown = assigned(yard, "j", digest=OTHER_DIGEST).model_copy(update={"force": True})
    forced = assigned(yard, "k").model_copy(update={"force": True})
    told = [await assign(yard, unknown), await assign(yard, forced, epoch=1)]
    reasons = [refusal.reason for reply in told for refusal in reply.refusals]
    assert reasons == [RefusalReason.UNKNOWN_ADAPTER, RefusalReason.STALE_EPOCH]


async def test_a_job_held_already_changes_its_lease_and_takes_no_room(yard: Yard) -> None:
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    one = assigned(yard, "j")
    await assign(yard, one)
    reply = await assign(yard, one.model_copy(update={"lease": "another.lease"}))
    assert reply.refusals == ()
    assert reply.load.holding == (one.key,)


async def test_a_job_given_again_is_answered_in_the_name_of_what_it_runs_with__b1(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """Its lease ran out while its alias was moved: the new assignment names another version."""
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    one = assigned(yard, "j").model_copy(update={"rule": "base"})
    await assign(yard, one)

    async def begun() -> bool:  # what has not is handed back
        return (await yard.advert()).rows_running == 1

    await wait_until(begun)
    ref = AdapterRef(name=ADAPTER, version="2", digest=OTHER_DIGEST)
    alias = AliasRef(name=f"{ADAPTER}@stable", revision=7)
    moved = {"lease": "another.lease", "adapter": ref, "alias": alias, "rule": "explicit"}
    assert (await assign(yard, one.model_copy(update=moved))).refusals == ()
    cancel = yard.bus.subjects.control("w1", "cancel")
    await yard.bus.nc.request(cancel, encode(CancelJob(tenant="acme", job="j")), timeout=30)

    async def answered() -> bool:
        return not (await yard.advert()).load.holding

    await wait_until(answered)
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert (maker.adapter, maker.alias, maker.rule) == (None, None, "base")


async def test_an_adapter_the_worker_has_no_files_of_is_refused(yard: Yard, adapters: Path) -> None:
    """B6: a wrong guess costs a message, never a job."""
    await yard.worker(adapters_dir=adapters)
    good = assigned(yard, "j", digest=(await yard.record(ADAPTER)).digest)
    reply = await assign(yard, good, assigned(yard, "k", digest=OTHER_DIGEST))
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.UNKNOWN_ADAPTER]
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


@pytest.mark.parametrize("verb", ["assign", "control.cancel"])
async def test_a_malformed_order_is_answered_with_its_field(verb: str, yard: Yard) -> None:
    await yard.worker()
    subject = f"{yard.bus.settings.prefix}.worker.w1.{verb}"
    reply = await yard.bus.nc.request(subject, b'{"dispatcher": 5, "tenant": 5}', timeout=30)
    assert reply.headers is not None
    assert reply.headers["Nats-Service-Error-Code"] == "400"
    assert {"dispatcher", "tenant"} & set(reply.headers["Nats-Service-Error"].replace(":", "").split())


async def test_a_job_that_is_not_here_is_not_cancelled_here(yard: Yard) -> None:
    await yard.worker()
    body = encode(CancelJob(tenant="acme", job="j"))
    reply = await yard.bus.nc.request(yard.bus.subjects.control("w1", "cancel"), body, timeout=30)
    assert decode(CancelReply, reply.data).outcome is CancelOutcome.NOT_HERE


async def test_a_draining_worker_refuses_and_the_job_goes_elsewhere(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    slow = Slow()
    first = await yard.worker("w1", engine=slow, drain_seconds=600.0)
    await yard.publish(job("running"))

    async def handed_over() -> bool:
        return (await yard.status()).handed_over == 1

    await wait_until(handed_over)
    stopping = asyncio.create_task(first.stop())

    async def draining() -> bool:
        return (await yard.advert()).load.draining

    await wait_until(draining)
    reply = await assign(yard, assigned(yard, "j"))
    assert [refusal.reason for refusal in reply.refusals] == [RefusalReason.DRAINING]
    await yard.worker("w2")
    await yard.publish(job("after"))
    after = (await yard.result("after")).maker
    slow.end()
    before = (await yard.result("running")).maker
    assert after is not None
    assert before is not None
    assert (before.worker, after.worker) == ("w1", "w2"), "what ran finished where it was"
    await stopping


async def test_a_stopping_worker_gives_back_each_lease_itself(yard: Yard) -> None:
    """Whether or not a dispatcher lives that would do it for it."""
    told = await yard.bus.nc.subscribe("a.lease")
    worker = await yard.worker(echo_delay_seconds=60, drain_seconds=0.0)
    await assign(yard, assigned(yard, "j").model_copy(update={"lease": "a.lease"}))
    await worker.stop()
    assert (await told.next_msg(timeout=30)).data == b"-NAK"
