"""Jobs of the base model where nobody serves it: answered with the reason, not kept for ever (B8, G3)."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.bus.conftest import Yard

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.explain import explain_job
from lorayard_dispatcher.fleet import SETTLED_SECONDS
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.codec import encode
from lorayard_schemas.explanation import ExplainJob, WaitReason
from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind
from lorayard_shared.bus.heard import Heard
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.process import end_tasks

pytestmark = pytest.mark.bus

ALONE = WorkerAdvert(
    worker="w1",
    epoch=1,
    sequence=1,
    at=1.0,
    engine="EchoEngine",
    model="m",
    base_digest="sha256:" + "0" * 64,
    context_tokens=1024,
    dedicated="sha256:" + "1" * 64,
    rows_max=4,
    load=WorkerLoad(worker="w1", epoch=1, number=1, room=4),
)


async def test_a_base_model_job_is_answered_where_each_worker_serves_one_adapter_alone__b8_g3(
    yard: Yard,
) -> None:
    """Not at once: a worker may be on its way, or about to serve everybody again."""
    bus = yard.bus
    dispatcher = Dispatcher(
        bus,
        LeaseKeeper(bus.settings, name="not started"),
        DispatcherSettings.model_validate(bus.settings.model_dump()),
        "d",
    )
    dispatcher.fleet.on_advert(ALONE, time.monotonic())
    lease = f"$JS.ACK.{bus.subjects.stream('jobs')}.dispatch-normal.1.7.9.1700000000000000000.0"
    subject = f"{bus.settings.prefix}.jobs.normal.acme._"
    dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, encode(Job(id="j", prompt="x"))))
    found = explain_job(dispatcher, ExplainJob(tenant="acme", job="j"))
    long_ago = time.monotonic() - 2 * SETTLED_SECONDS
    dispatcher.fleet.on_death("w1", long_ago)
    dispatcher.fleet.on_advert(ALONE, long_ago)
    plans = asyncio.create_task(dispatcher.run_plans(), name="plans")
    error = (await yard.result("j")).error
    await end_tasks([plans])
    await dispatcher.settle()
    assert error is not None
    assert (error.code, error.kind) == ("base_unavailable", ErrorKind.RETRYABLE)
    assert "one adapter alone" in error.message
    assert found.reason is WaitReason.DEDICATED
