"""The batches of a yard: their records, and those that have not ended kept in mind by a watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from lorayard_gateway.batches.states import OVER, to_forget
from lorayard_gateway.record_bucket import RecordBucket
from lorayard_schemas.batch_record import BatchRecord, batch_key
from lorayard_schemas.names import key_token
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.jobs.watched import read_under

MOST_KEPT = 10_000
"""Of one tenant's that have ended: every gateway holds them in memory, and a listing reads them all."""


class BatchBook:
    """Every method that asks the bus raises `nats.errors.Error` where it does not answer."""

    def __init__(self, bus: Bus) -> None:
        self._records = RecordBucket(bus, "batches", BatchRecord)
        self._open: dict[str, BatchRecord] = {}
        self.stirred = asyncio.Event()
        """There is one more, or a place for one."""
        self.watch = BucketWatch(bus, bus.subjects.bucket("batches"), self._on_change)

    @property
    def open(self) -> list[BatchRecord]:
        """Those that have not ended, as far as is known here."""
        return list(self._open.values())

    def known(self, record: BatchRecord) -> BatchRecord | None:
        """The same as it was last heard of; None: it has ended, or is not heard of yet."""
        return self._open.get(batch_key(record.tenant, record.id))

    def reader_of(self, file_id: str) -> str | None:
        """The batch that has not ended whose input a file is."""
        return next((one.id for one in self._open.values() if one.input_file_id == file_id), None)

    def count(self, tenant: str) -> int:
        """How many of a tenant's have not ended."""
        return sum(one.tenant == tenant for one in self._open.values())

    async def find(self, tenant: str, batch_id: str) -> BatchRecord | None:
        """One of a tenant's."""
        found = await self._records.get(batch_key(tenant, batch_id))
        return None if found is None else found.value

    async def list(self, tenant: str) -> list[BatchRecord]:
        """All of a tenant's, in no order."""
        return await self._records.list(f"{key_token(tenant)}.*")

    async def create(self, record: BatchRecord) -> None:
        """A new one."""
        await self._records.create(batch_key(record.tenant, record.id), record)

    async def change(
        self, tenant: str, batch_id: str, changed: Callable[[BatchRecord], BatchRecord]
    ) -> BatchRecord | None:
        """Write what `changed` makes of it, by compare-and-set; None: there is none.

        Raises:
            ContendedError: others were faster every time.
        """
        return await self._records.change(batch_key(tenant, batch_id), changed)

    async def sweep(self, keep_seconds: float) -> int:
        """Forget batches that ended so long ago, or that are too many; returns how many."""
        found = await self._records.list(">")
        over = to_forget(found, time.time() - keep_seconds, most=MOST_KEPT)
        for record in over:
            await self._records.delete(batch_key(record.tenant, record.id))
        return len(over)

    def _on_change(self, key: str, value: bytes | None) -> None:
        record = None
        if value is not None:
            record = read_under(key, value, BatchRecord, lambda one: batch_key(one.tenant, one.id))
        if record is None or record.status in OVER:
            self._open.pop(key, None)
            return
        if key not in self._open:  # each that runs changes every second, which is nothing to look at
            self.stirred.set()
        self._open[key] = record
