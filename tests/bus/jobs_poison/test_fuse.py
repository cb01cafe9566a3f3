"""What the server itself gave up is answered, and leaves a dead letter (E3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest
from nats.aio.msg import Msg

from lorayard_dispatcher.fuse import Fuse
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ErrorKind, JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.deleting import delete_message
from lorayard_shared.bus.delivery import NAK
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.bus.topology import lane_consumer
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.process import end_tasks

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def publish(self, body: Job | bytes) -> int: ...
    async def result(self, job: str) -> JobResult: ...
    async def stored(self, job: str) -> JobResult | None: ...
    async def left(self, kind: str = "jobs") -> int: ...
    async def dead_letters(self) -> list[DeadLetter]: ...


DELIVERIES = 2


async def give_out_too_often(yard: Yard) -> None:
    """Deliver what is there until the server does no more."""
    stream, name = yard.bus.subjects.stream("jobs"), lane_consumer(Lane.NORMAL)
    config: dict[str, Any] = (await yard.bus.api(f"CONSUMER.INFO.{stream}.{name}"))["config"]
    await yard.bus.api(f"CONSUMER.DELETE.{stream}.{name}")
    for key in ("priority_groups", "priority_policy", "priority_timeout"):
        config.pop(key, None)
    config["max_deliver"] = DELIVERIES
    wanted = {"stream_name": stream, "config": config}
    await yard.bus.api(f"CONSUMER.CREATE.{stream}.{name}.{config['filter_subject']}", wanted)
    for _ in range(DELIVERIES):
        message = await pull(yard, stream, name)
        assert message is not None
        await yard.bus.nc.publish(message, NAK)
    assert await pull(yard, stream, name, seconds=0.2) is None


async def pull(yard: Yard, stream: str, name: str, seconds: float = 5.0) -> str | None:
    """One delivery's lease, if there is one."""
    inbox = yard.bus.nc.new_inbox()
    heard = await yard.bus.nc.subscribe(inbox)
    wanted = json.dumps({"batch": 1, "expires": int(seconds * 1e9)}).encode()
    await yard.bus.nc.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", wanted, reply=inbox)
    message = await heard.next_msg(timeout=30)
    await heard.unsubscribe()
    return message.reply or None


def fuse(yard: Yard, *, is_held: bool = False) -> Fuse:
    results = ResultStore(yard.bus, PayloadStore(yard.bus))
    answers = Answers(yard.bus, results, LeaseKeeper(yard.bus.settings, name="not started"))
    return Fuse(yard.bus, answers, is_active=lambda: True, is_held=lambda _: is_held)


async def test_a_job_that_the_server_shows_nobody_any_more_is_answered__e3(yard: Yard) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    await give_out_too_often(yard)
    assert await yard.left() == 1, "it stays, and nobody sees it"
    await fuse(yard).look()
    error = (await yard.result("j")).error
    assert error is not None
    assert (error.kind, error.code) == (ErrorKind.POISON, "delivered_too_often")
    assert [letter.job for letter in await yard.dead_letters()] == ["j"]
    assert await yard.left() == 0


async def test_what_waits_or_is_out_is_left_alone(yard: Yard) -> None:
    await yard.publish(Job(id="first", prompt="x"))
    await yard.publish(Job(id="second", prompt="x"))
    stream, name = yard.bus.subjects.stream("jobs"), lane_consumer(Lane.NORMAL)
    await yard.bus.api(f"CONSUMER.DELETE.{stream}.{name}")
    config = {
        "durable_name": name,
        "ack_policy": "explicit",
        "filter_subject": f"{yard.bus.settings.prefix}.jobs.normal.>",
    }
    wanted = {"stream_name": stream, "config": config}
    await yard.bus.api(f"CONSUMER.CREATE.{stream}.{name}.{config['filter_subject']}", wanted)
    assert await pull(yard, stream, name)
    await fuse(yard).look()
    assert await yard.left() == 2


async def test_what_leaves_the_stream_a_moment_later_is_not_answered__e3(
    yard: Yard, wait_until: WaitUntil
) -> None:
    number = await yard.publish(Job(id="j", prompt="x"))
    await give_out_too_often(yard)
    stream = yard.bus.subjects.stream("jobs")
    asked = list[int]()

    async def hear(question: Msg) -> None:
        asked.append(int(json.loads(question.data)["seq"]))

    hearing = await yard.bus.nc.subscribe(f"$JS.API.DIRECT.GET.{stream}", cb=hear)
    looking = asyncio.create_task(fuse(yard).look())

    async def found() -> bool:
        return bool(asked)

    await wait_until(found)
    await yard.bus.nc.flush()  # the question was put before
    await delete_message(yard.bus, stream, number)  # as the ack of a retry does
    await looking
    await hearing.unsubscribe()
    assert (await yard.stored("j"), await yard.dead_letters()) == (None, [])


async def test_what_a_worker_still_holds_ends_there(yard: Yard) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    await give_out_too_often(yard)
    await fuse(yard, is_held=True).look()
    assert (await yard.stored("j"), await yard.left()) == (None, 1)


async def test_one_that_has_its_answer_just_leaves(yard: Yard) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    await give_out_too_often(yard)
    answer = JobResult(job="j", tenant="acme", state=ResultState.SUCCEEDED, text="t")
    await ResultStore(yard.bus, PayloadStore(yard.bus)).store(answer)
    await fuse(yard).look()
    assert (await yard.stored("j"), await yard.left(), await yard.dead_letters()) == (answer, 0, [])


async def test_what_is_no_job_is_buried(yard: Yard) -> None:
    await yard.publish(b"\xff")
    await give_out_too_often(yard)
    await fuse(yard).look()
    assert [letter.code for letter in await yard.dead_letters()] == ["malformed_job"]
    assert await yard.left() == 0


async def test_the_word_of_the_server_is_heard_at_once__e3(yard: Yard, wait_until: WaitUntil) -> None:
    listening = fuse(yard)
    task = asyncio.create_task(listening.run())
    try:
        await yard.publish(Job(id="before", prompt="x"))
        await yard.bus.nc.flush()
        await give_out_too_often(yard)

        async def answered() -> bool:
            return await yard.stored("before") is not None and await yard.left() == 0

        await wait_until(answered)
    finally:
        await end_tasks([task])
