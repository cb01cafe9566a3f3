"""Whoever ends a job repeats what was asked, so that its idempotency key stays known (E4)."""

from __future__ import annotations

import pytest
from tests.bus.conftest import Yard

from lorayard import Client, IdempotencyConflictError, JobFailedError
from lorayard_schemas.job import Job

pytestmark = pytest.mark.bus

DIGEST = "0123456789abcdef" * 2


async def test_a_key_is_held_by_an_answer_a_refusal_and_an_expiry__e4(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    async with Client(settings=yard.settings) as client:
        assert (await client.generate("hello", idempotency_key="answered")).succeeded
        with pytest.raises(JobFailedError, match="unknown_adapter"):
            await client.generate("hello", adapter="no/such/one", idempotency_key="refused")
        for key in ("answered", "refused"):
            with pytest.raises(IdempotencyConflictError):
                await client.generate("bye", idempotency_key=key)
    await yard.publish(Job(id="late", prompt="x", deadline=1.0, request_digest=DIGEST))
    assert (await yard.result("late")).request_digest == DIGEST


async def test_a_failure_at_the_worker_holds_a_key_too__e4(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="empty", prompt="", request_digest=DIGEST))
    result = await yard.result("empty")
    assert result.error is not None
    assert (result.error.code, result.request_digest) == ("empty_prompt", DIGEST)
