"""What nobody can read as a job: answered when it says which job it is, else buried (E4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgpack
import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


def job(name: str, prompt: str = "hello", *, deadline: float | None = None) -> Job:
    return Job(id=name, prompt=prompt, deadline=deadline)


async def nothing_left(yard: Yard) -> bool:
    return await yard.left() == 0


async def test_a_malformed_job_with_an_id_is_answered_with_the_field(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """G3, and no worker is needed for it."""
    await yard.dispatcher()
    await yard.publish(msgpack.packb({"id": "j", "prompt": "x", "sampling": {"top_p": 2}}))
    result = await yard.result("j")
    assert result.state is ResultState.FAILED
    assert result.error is not None
    assert (result.error.kind, result.error.code) == (ErrorKind.PERMANENT, "malformed_job")
    assert result.error.field == "sampling.top_p"
    await wait_until(lambda: nothing_left(yard))
    assert await yard.dead_letters() == []


async def test_a_job_that_could_not_be_buried_comes_again(yard: Yard, wait_until: WaitUntil) -> None:
    """G2: its lease must run out; renewed for ever, the job would be neither here nor there."""
    await yard.dispatcher()
    dead = yard.bus.subjects.stream("dead")
    await yard.bus.api(f"STREAM.DELETE.{dead}")
    await yard.publish(b"\xc1")

    async def tried() -> bool:
        return (await yard.status()).taken >= 1

    await wait_until(tried)
    await declare(yard.bus, topology(yard.bus.settings))
    await wait_until(lambda: nothing_left(yard))
    assert len(await yard.dead_letters()) == 1


@pytest.mark.parametrize("body", [b"\xc1 nonsense", b"", b'{"prompt": "x"}', b"{"])
async def test_a_job_without_a_readable_id_becomes_a_dead_letter(
    body: bytes, yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    sequence = await yard.publish(body, adapter="a/b/c")
    await wait_until(lambda: nothing_left(yard))
    (letter,) = await yard.dead_letters()
    assert (letter.body, letter.sequence, letter.code) == (body, sequence, "malformed_job")
    assert not letter.truncated
    assert letter.subject.endswith(".acme.a/b/c")
    assert letter.reason


async def test_a_message_as_big_as_the_server_takes_is_answered_or_buried(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """As it is it fits neither an assignment nor a dead letter, and would go round for ever."""
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(encode(job("big", "x" * 1_000_000)))
    await yard.publish(b"\xc1" * 1_048_500)
    result = await yard.result("big")
    assert result.error is not None
    assert "by reference" in result.error.message
    await wait_until(lambda: nothing_left(yard))
    (letter,) = await yard.dead_letters()
    assert letter.body == b"\xc1" * len(letter.body)
    assert letter.truncated


async def test_headers_nobody_can_read_are_answered(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.publish(job("j"), headers={"Yard-Attempt": "9" * 5000})
    result = await yard.result("j")
    assert result.error is not None
    assert result.error.field == "header Yard-Attempt"


async def test_a_publishers_status_header_does_not_hide_its_job(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j"), headers={"Status": "408"})
    assert (await yard.result("j")).state is ResultState.SUCCEEDED
