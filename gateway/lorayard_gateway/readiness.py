"""Whether requests are worth sending to a gateway: that it runs says nothing of whether anybody answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import nats.errors

from lorayard.errors import LorayardError
from lorayard_schemas.snapshot import SnapshotPart, WorkerRow, YardSnapshot
from lorayard_shared.bus.connection import ApiError

if TYPE_CHECKING:
    from lorayard_gateway.gateway import Gateway

LOOK_SECONDS = 2.0
"""For a bus that is slow; who checks waits no longer."""

AWAY = "the bus is away"

_PARTS = frozenset({SnapshotPart.WORKERS})


async def missing(gateway: Gateway) -> tuple[str, ...]:
    """What keeps requests from being answered, in sentences; none: nothing."""
    if gateway.stopping:
        return ("it is being stopped",)
    if not gateway.bus.connected:
        return (AWAY,)
    blind = gateway.faults()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            shown = await gateway.snapshots.looks.snapshot(_PARTS)
    except (LorayardError, ApiError, nats.errors.Error, TimeoutError) as error:
        return (*blind, f"the bus does not answer: {str(error) or type(error).__name__}")
    return (*blind, *_of_yard(shown))


def _of_yard(shown: YardSnapshot) -> tuple[str, ...]:
    told: list[str] = []
    if not shown.overview.dispatchers:
        told.append("no dispatcher is alive")
    if not any(_takes_jobs(worker) for worker in shown.workers):
        told.append("no worker takes jobs")
    return tuple(told)


def _takes_jobs(worker: WorkerRow) -> bool:
    return not (worker.lost or worker.draining or worker.paused or worker.trouble)
