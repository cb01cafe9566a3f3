"""Records as workers and operators would write them."""

from __future__ import annotations

import time

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.audit import ActRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import walk

DIGEST = "sha256:" + "0" * 64


def record(name: str, version: str) -> AdapterRecord:
    return AdapterRecord(
        name=name,
        version=version,
        digest=DIGEST,
        base_digest=DIGEST,
        rank=8,
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=10,
    )


def advert(worker: str) -> WorkerAdvert:
    return WorkerAdvert(
        worker=worker,
        epoch=1,
        sequence=1,
        at=0.0,
        engine="echo",
        model="tiny",
        base_digest=DIGEST,
        context_tokens=64,
        load=WorkerLoad(worker=worker, epoch=1, number=0, room=4),
    )


async def lay_dead(bus: Bus, job: str, *, tenant: str = "acme") -> int:
    """A dead letter, as a dispatcher lays it; its number."""
    letter = DeadLetter(
        subject=f"{bus.subjects.prefix}.jobs.normal.{tenant}._",
        sequence=1,
        job=job,
        tenant=tenant,
        adapter=None,
        code="engine_error",
        reason="it broke",
        body=encode(Job(id=job, prompt="x")),
        at=time.time() - 60,
    )
    return (await bus.js.publish(bus.subjects.dead_letter(tenant, None, job), encode(letter))).seq


async def acts(bus: Bus) -> list[ActRecord]:
    """What somebody did to jobs, as the audit trail has it."""
    pages = walk(bus, bus.subjects.stream("audit"), f"{bus.subjects.prefix}.audit.act.>")
    return [decode(ActRecord, lying.body) async for page in pages for lying in page]
