"""Who runs which batch: keys with a short time to live in `yard_batch_leases`, renewed by compare-and-set.

As seats of dispatchers are held: the server decides who has one, and takes it from whoever is dead or hangs.
Nobody who has lost one without knowing does harm: jobs are known by their keys, and a record tells its `run`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from typing import cast

import nats.errors
import nats.js.errors

from lorayard_gateway.batches.errors import RunLostError
from lorayard_schemas import headers
from lorayard_schemas.batch_record import BatchLease
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.result_store import WRONG_LAST_SEQUENCE

TTL_SECONDS = 5
RENEW_SECONDS = 1.0
"""Four renewals may be lost before a lease is."""

SILENT_SECONDS = 2.0 * TTL_SECONDS
"""What was not renewed for so long, by our own clock, is void though the server has it, whose clock may have
been set back."""

WRITE_SECONDS = 2.0


class Lease:
    """One batch that is ours."""

    def __init__(self, leases: Leases, batch: str, revision: int) -> None:
        self._leases, self._batch, self._revision = leases, batch, revision

    async def keep(self) -> None:
        """Renew it until it is lost; while the bus is away nobody else can have it either.

        Raises:
            RunLostError: another gateway has it.
        """
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(nats.errors.Error):
                renewed = await self._leases.renew(self._batch, self._revision)
                if renewed is None:
                    raise RunLostError
                self._revision = renewed

    async def release(self) -> None:
        """Let others have it at once, if the bus hears it."""
        with suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._leases.remove(self._batch, self._revision)


class Leases:
    """Those of one gateway; methods raise `nats.errors.Error` where the bus does not answer."""

    def __init__(self, bus: Bus, holder: str) -> None:
        self._bus, self._holder = bus, holder
        self._bucket = bus.subjects.bucket("batch_leases")
        self._others: dict[str, tuple[int, float]] = {}
        """Of batches that another has: the revision, and when it was first seen, monotonic seconds."""

    async def take(self, batch: str) -> Lease | None:
        """The lease of a batch; None: another has it."""
        held, revision = await self._read(batch)
        if held is not None and self._lives(batch, revision):
            return None
        self._others.pop(batch, None)
        taken = await self._write(batch, revision)
        return None if taken is None else Lease(self, batch, taken)

    def keep_in_mind(self, batches: Collection[str]) -> None:
        """Forget what was seen of any others: they have ended."""
        for batch in self._others.keys() - set(batches):
            del self._others[batch]

    async def renew(self, batch: str, revision: int) -> int | None:
        """Write it over its last revision; None: another has it."""
        renewed = await self._write(batch, revision)
        if renewed is not None:
            return renewed
        # The answer to our own last write was lost, or it ran out while the bus was away.
        held, now = await self._read(batch)
        return await self._write(batch, now) if held in (None, self._holder) else None

    async def remove(self, batch: str, revision: int) -> None:
        """Take it away, if it is still ours."""
        bound = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(revision), headers.TTL: str(TTL_SECONDS)}
        with suppress(nats.js.errors.APIError):
            await self._bus.js.publish(self._subject(batch), b"", headers={**bound, "KV-Operation": "DEL"})

    def _lives(self, batch: str, revision: int) -> bool:
        now = time.monotonic()
        if self._others.get(batch, (-1, 0.0))[0] != revision:
            self._others[batch] = (revision, now)
        return now - self._others[batch][1] <= SILENT_SECONDS

    async def _write(self, batch: str, after: int) -> int | None:
        lease = BatchLease(batch=batch, holder=self._holder)
        bound = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(after), headers.TTL: str(TTL_SECONDS)}
        try:
            stored = await self._bus.js.publish(
                self._subject(batch), encode(lease), timeout=WRITE_SECONDS, headers=bound
            )
        except nats.js.errors.APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise
            return None
        return stored.seq

    async def _read(self, batch: str) -> tuple[str | None, int]:
        """Who has it, and the revision of its key."""
        try:
            # Not a direct read, which a replica may answer from behind.
            found = await self._bus.js.get_msg(f"KV_{self._bucket}", subject=self._subject(batch))
        except nats.js.errors.NotFoundError:
            return None, 0
        head = cast("dict[str, str]", found.headers or {})  # nats-py says no more than that it is a dict
        revision = int(found.seq or 0)
        if "KV-Operation" in head or "Nats-Marker-Reason" in head:
            return None, revision
        try:
            return decode(BatchLease, found.data or b"").holder, revision
        except MalformedMessageError:
            return None, revision

    def _subject(self, batch: str) -> str:
        return f"$KV.{self._bucket}.{batch}"
