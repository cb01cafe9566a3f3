"""A whole yard over the generated configuration: what tenants and operators do works, for each his own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.security.conftest import ADAPTER, SecureServer

from lorayard import GenerateRequest, JobCancelledError
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus


async def test_a_tenant_submits_streams_waits_and_cancels_in_its_own_account_g4(
    secure_yard: SecureServer,
) -> None:
    async with secure_yard.client("client-acme") as client:
        result = await client.generate("hello there", adapter=ADAPTER, timeout_seconds=30)
        assert result.text
        job = await client.submit("tell me all of it as you go", adapter=ADAPTER, stream=True)
        told = [event async for event in job.events(timeout_seconds=30)]
        assert told
        again = [event async for event in job.events(timeout_seconds=30)]
        assert again, "events of before are read from the stream, by way of a dispatcher"
        many = await client.submit_many([GenerateRequest(prompt=f"number {n}") for n in range(20)])
        assert len([await one.result(timeout_seconds=30) for one in many.handles]) == 20
        later = await client.submit("later", adapter=ADAPTER, delay_seconds=300)
        assert (await later.status()).place.value == "scheduled"
        assert await later.cancel()
        with pytest.raises(JobCancelledError):
            await later.result(timeout_seconds=30)


async def test_the_same_key_is_the_same_job_and_each_tenant_has_keys_of_its_own_g4(
    secure_yard: SecureServer,
) -> None:
    async with secure_yard.client("client-acme") as acme, secure_yard.client("client-beta") as beta:
        first = await acme.submit("once", adapter=ADAPTER, idempotency_key="key-1")
        second = await acme.submit("once", adapter=ADAPTER, idempotency_key="key-1")
        other = await beta.submit("once", adapter=ADAPTER, idempotency_key="key-1")
        assert (first.id, second.existing) == (second.id, True)
        assert other.id != first.id
        assert not other.existing
        for job in (first, other):
            assert (await job.result(timeout_seconds=30)).text


async def test_one_tenant_does_not_find_the_job_of_another_g4(secure_yard: SecureServer) -> None:
    async with secure_yard.client("client-acme") as acme, secure_yard.client("client-beta") as beta:
        job = await acme.submit("mine", adapter=ADAPTER)
        await job.result(timeout_seconds=30)
        assert not await beta.handle(job.id).done()
        assert await acme.handle(job.id).done()


async def test_an_operator_pushes_an_adapter_and_a_tenant_uses_it(
    secure_yard: SecureServer, tmp_path: Path
) -> None:
    make_tiny_adapter(tmp_path / "new", seed=7, targets=("q_proj",))
    async with secure_yard.client("operator") as operator, secure_yard.client("client-beta") as beta:
        await operator.adapters.push(tmp_path / "new", name="beta/tiny/new", version="1")
        await operator.adapters.validate("beta/tiny/new@1")
        await operator.adapters.activate("beta/tiny/new@1")
        result = await beta.generate("hello", adapter="beta/tiny/new", timeout_seconds=60)
        assert result.text
        assert {record.name for record in await operator.adapters()} >= {"beta/tiny/new", ADAPTER}


async def test_an_observer_looks_and_changes_nothing(secure_yard: SecureServer, tmp_path: Path) -> None:
    make_tiny_adapter(tmp_path / "new", seed=8, targets=("q_proj",))
    async with secure_yard.client("observer") as observer:
        assert [advert.worker for advert in await observer.workers()] == ["w1"]
        assert await observer.adapters()
        with pytest.raises(Exception, match="may not publish on"):
            await observer.adapters.push(tmp_path / "new", name="beta/tiny/other", version="1")
