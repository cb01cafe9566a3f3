"""Records as workers and operators would write them."""

from __future__ import annotations

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad

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
