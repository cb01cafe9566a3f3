"""Bodies that somebody made on purpose."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Protocol

from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.result import JobResult, ResultState

WaitUntil = Callable[..., Awaitable[None]]


class Yard(Protocol):
    """A yard to start dispatchers in (see conftest)."""

    async def dispatcher(self, name: str = ..., **given: object) -> object: ...

    async def publish(self, body: bytes) -> int: ...

    async def result(self, job: str) -> JobResult: ...

    async def left(self) -> int: ...

    async def dead_letters(self) -> list[DeadLetter]: ...


async def test_a_field_as_long_as_a_message_is_answered_all_the_same(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    body = {"id": "long-field", "prompt": "x", "metadata": {"k" * 650_000: 5}}
    await yard.publish(json.dumps(body).encode())
    result = await yard.result("long-field")
    assert result.state is ResultState.FAILED
    assert result.error is not None
    assert result.error.field is not None
    assert result.error.field.startswith("metadata.kkk")

    async def gone() -> bool:
        return await yard.left() == 0

    await wait_until(gone)


async def test_a_field_as_long_as_a_message_is_buried_where_nobody_can_be_answered(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    body = {"id": "no id", "prompt": "x", "metadata": {"k" * 650_000: 5}}
    await yard.publish(json.dumps(body).encode())

    async def gone() -> bool:
        return await yard.left() == 0

    await wait_until(gone)
    (letter,) = await yard.dead_letters()
    assert letter.code == "malformed_job"


async def test_a_job_of_another_version_is_answered_by_its_id(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.publish(json.dumps({"v": 2, "id": "newer", "prompt": "x"}).encode())
    result = await yard.result("newer")
    assert result.state is ResultState.FAILED
    assert result.error is not None
    assert result.error.field == "v"
