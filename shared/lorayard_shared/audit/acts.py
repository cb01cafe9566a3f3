"""Tell what somebody did to jobs: who cancelled, redrove or purged them."""

from __future__ import annotations

import asyncio
import os
import time

import nats.errors

from lorayard_schemas.audit import ActRecord
from lorayard_schemas.codec import encode
from lorayard_shared.audit.writing import writer_of
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event, process_logger

ACT_SECONDS = 0.5
"""The deed is done: whoever did it waits no longer for its record."""

ALL_TENANTS = "*"


async def tell_act(
    bus: Bus, *, actor: str, verb: str, tenant: str | None, job: str = "", jobs: int = 1, about: str = ""
) -> bool:
    """Write the record; whether it is stored. A loss is logged, and fails nothing."""
    act = ActRecord(
        at=time.time(), actor=actor, verb=verb, tenant=tenant or ALL_TENANTS, job=job, jobs=jobs, about=about
    )
    subject = bus.subjects.act_audit(act.tenant, job)
    failure: Exception | None
    try:
        async with asyncio.timeout(ACT_SECONDS):
            failure = await writer_of(bus).write(subject, encode(act), message_id=os.urandom(12).hex())
    except TimeoutError:
        failure = nats.errors.TimeoutError()
    if failure is None:
        return True
    process_logger().error(Event.AUDIT_LOST, verb=verb, job=job, error=str(failure))
    return False
