"""A yard as large as a screen has to show: on the bus alone, with nobody behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from lorayard import Client, GenerateRequest
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import SlotAdvert, WorkerAdvert, WorkerCounters
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Lane
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

ADAPTERS, WORKERS, JOBS = 1000, 64, 10_000
SLOTS, HOST = 16, 100
AT_ONCE = 250


def large_settings(settings: YardSettings) -> YardSettings:
    """Beside another yard on its server, which reserves what streams may hold."""
    room = {"jobs_max_bytes": 2**27, "results_max_bytes": 2**27, "payloads_max_bytes": 2**27}
    return settings.model_copy(update={**room, "prefix": "large"})


async def fill(bus: Bus) -> None:
    """Declare it, register the adapters, and submit the jobs: two lanes and tenants, each adapter in turn."""
    await declare(bus, topology(bus.settings))
    head = f"$KV.{bus.subjects.bucket('adapters')}."
    records = [_record(number) for number in range(ADAPTERS)]
    for start in range(0, ADAPTERS, AT_ONCE):
        some = records[start : start + AT_ONCE]
        await asyncio.gather(*(bus.js.publish(f"{head}{one.key}", encode(one)) for one in some))
    await submit(bus, JOBS)


async def submit(bus: Bus, jobs: int) -> None:
    """So many more."""
    for number, lane in enumerate((Lane.NORMAL, Lane.BULK)):
        async with Client(settings=bus.settings, tenant=f"tenant-{number}") as client:
            requests = [
                GenerateRequest("x" * 200, adapter=_name(each % ADAPTERS), lane=lane)
                for each in range(jobs // 2)
            ]
            (await client.submit_many(requests)).all_handles()


async def beat(bus: Bus, number: int) -> None:
    """One advert of every worker."""
    adverts: Sequence[WorkerAdvert] = [_advert(worker, number) for worker in range(WORKERS)]
    head = f"$KV.{bus.subjects.bucket('workers')}."
    await asyncio.gather(*(bus.js.publish(f"{head}{one.worker}", encode(one)) for one in adverts))


def _digest(number: int) -> str:
    return f"sha256:{number % ADAPTERS:064x}"


def _name(number: int) -> str:
    return f"acme/gemma3-270m/task-{number}"


def _record(number: int) -> AdapterRecord:
    return AdapterRecord(
        name=_name(number),
        version="1",
        digest=_digest(number),
        base_digest=_digest(0),
        rank=16,
        alpha=32.0,
        targets=("q_proj", "v_proj"),
        size_bytes=12_000_000,
    )


def _advert(worker: int, sequence: int) -> WorkerAdvert:
    name, first = f"worker-{worker}", worker * SLOTS
    counted = WorkerCounters(adapter_rows=10 * sequence, slot_hits=9 * sequence)
    return WorkerAdvert(
        worker=name,
        epoch=1,
        sequence=sequence,
        at=time.time(),
        engine="Packed",
        model="google/gemma-3-270m",
        base_digest=_digest(0),
        context_tokens=8192,
        slots=tuple(SlotAdvert(digest=_digest(first + each), rows=1) for each in range(SLOTS)),
        slot_count=SLOTS,
        host=tuple(_digest(first + each) for each in range(HOST)),
        rows_running=SLOTS,
        rows_max=SLOTS,
        counters=counted,
        load=WorkerLoad(worker=name, epoch=1, number=sequence, room=0),
    )
