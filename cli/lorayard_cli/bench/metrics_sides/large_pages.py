"""Pages as large as a yard makes them."""

from __future__ import annotations

import time

from lorayard_cli.exporter.sight import Queue, Sight
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import AdapterRef, AssignedJob, WorkerLoad
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.metrics.metric import Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.server import MetricsPage
from lorayard_workers.engine.outcome import Failed, FailureKind, FinishReason, Succeeded, Tier, Timings
from lorayard_workers.engine.residency import Residency
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.metering import WorkerMeter, read_residency

DIGEST = "sha256:" + "0" * 64


def worker_page(adapters: int) -> MetricsPage:
    """Of a worker that has run so many adapters, found each in every tier, and failed with each once."""
    meter = WorkerMeter(adapters)
    for number in range(adapters):
        held = _held(number)
        for tier in (Tier.SLOT, Tier.HOST, Tier.DISK):
            meter.ended(held, _succeeded(tier))
        meter.ended(
            held, Failed(request_id="j", kind=FailureKind.PERMANENT, code="prompt_too_long", message="m")
        )

    def read(readings: Readings) -> None:
        meter.read(readings)
        read_residency(readings, Residency())

    return MetricsPage(source=Source.WORKER, name="w1", read=read)


def exporter_page(adapters: int, workers: int) -> MetricsPage:
    """Of a yard with so many workers, and jobs of so many adapters in every lane."""
    now = time.time()
    jobs: dict[Queue, int] = {
        (f"acme/gemma3-270m/task-{number}", lane): number + 1 for number in range(adapters) for lane in Lane
    }
    sight = Sight(
        jobs=jobs,
        oldest=dict.fromkeys(jobs, now - 10.0),
        workers=tuple(_advert(f"worker-{number}") for number in range(workers)),
        workers_alive=workers,
    )
    return MetricsPage(
        source=Source.EXPORTER,
        name="yard",
        read=lambda readings: sight.read(readings, most_adapters=adapters),
    )


def _held(number: int) -> HeldJob:
    adapter = AdapterRef(name=f"acme/gemma3-270m/task-{number}", version="1", digest=DIGEST)
    assigned = AssignedJob(
        key=str(number), lease="l", subject="s", body=b"", job="0" * 32, adapter=adapter, waited_ms=20.0
    )
    address = JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=adapter.name)
    return HeldJob(assigned=assigned, address=address, job=str(number))


def _succeeded(tier: Tier) -> Succeeded:
    return Succeeded(
        request_id="j",
        text="",
        finish_reason=FinishReason.STOP,
        prompt_tokens=100,
        completion_tokens=50,
        tier=tier,
        timings=Timings(queued_ms=10.0, load_ms=5.0, first_token_ms=30.0, total_ms=800.0),
    )


def _advert(worker: str) -> WorkerAdvert:
    load = WorkerLoad(worker=worker, epoch=1, number=1, room=4)
    return WorkerAdvert(
        worker=worker,
        epoch=1,
        sequence=1,
        at=time.time(),
        engine="Packed",
        model="m",
        base_digest=DIGEST,
        context_tokens=8192,
        load=load,
    )
