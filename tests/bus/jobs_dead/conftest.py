"""Letters of jobs that were given up, as a dispatcher leaves them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job, Lane, PayloadRef
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.dead_letters import DeadLetters, letter_of


async def bury(
    yard: Yard,
    job: str = "j",
    *,
    tenant: str = "acme",
    adapter: str | None = None,
    code: str = "engine_error",
    prompt_ref: PayloadRef | None = None,
) -> int:
    """Leave the letter of a job that was given up; returns its number."""
    address = JobAddress(lane=Lane.HIGH, tenant=tenant, adapter=adapter)
    record = AttemptRecord(attempt=1, worker="w", code=code, message="m", at=1.0)
    letter = letter_of(
        subject=yard.bus.subjects.job(address),
        address=address,
        job=job,
        key="S-7",
        body=encode(
            Job(id=job, prompt=None if prompt_ref else f"say {job}", prompt_ref=prompt_ref, deadline=1.0)
        ),
        code=code,
        reason="it failed",
        deliveries=1,
        attempts=(record,),
    )
    number = await DeadLetters(yard.bus).bury(letter)
    assert number is not None
    return number


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client
