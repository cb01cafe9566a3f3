"""What files and batches leave behind is taken away now and then, by every gateway for itself."""

from __future__ import annotations

import asyncio
import random

import nats.errors
import structlog

from lorayard_gateway.batches.book import BatchBook
from lorayard_gateway.files.store import FileStore
from lorayard_shared.bus.connection import ApiError
from lorayard_shared.logs import Event

SWEEP_SECONDS = 1800.0


async def sweep_again_and_again(
    store: FileStore,
    batches: BatchBook,
    log: structlog.typing.FilteringBoundLogger,
    *,
    keep_seconds: float,
) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.5))  # so that not all do at once
        try:
            await store.sweep(batches.reader_of)
            await batches.sweep(keep_seconds)
        except (nats.errors.Error, ApiError, TimeoutError) as error:
            log.debug(Event.BUS_FAILED, error=str(error) or type(error).__name__)
        except Exception:  # a fault of what tidies up must not end what serves
            log.exception(Event.LOOP_FAILED, task="gateway-sweep")
