"""Values that tests of several modules are about."""

from __future__ import annotations

from typing import Any

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad

BASE_DIGEST = "sha256:" + "0" * 8


def make_load(
    worker: str = "w", *, epoch: int = 1, number: int = 1, room: int = 4, **given: Any
) -> WorkerLoad:
    """A report of a worker with room; `given` are further fields."""
    return WorkerLoad(worker=worker, epoch=epoch, number=number, room=room, **given)


def make_advert(
    worker: str = "w", *, epoch: int = 1, sequence: int = 1, load: WorkerLoad | None = None, **given: Any
) -> WorkerAdvert:
    """An advert of a worker with two slots; its load is numbered like it. `given` are further fields."""
    fields: dict[str, Any] = {"at": 0.0, "context_tokens": 1, "slot_count": 2, **given}
    return WorkerAdvert(
        worker=worker,
        epoch=epoch,
        sequence=sequence,
        engine="E",
        model="m",
        base_digest=BASE_DIGEST,
        load=load or make_load(worker, epoch=epoch, number=sequence),
        **fields,
    )
