"""Interruptions in their bucket."""

from __future__ import annotations

import nats.errors
import nats.js.errors

from lorayard_schemas import headers
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.interruption import Interruption, InterruptionRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.result_store import WRONG_LAST_SEQUENCE

TRIES = 8
"""Each lost race is another's death written: a job has few at a time."""


class InterruptionStore:
    """Written by whoever sees a worker die, read by whoever gets its jobs."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        bucket = bus.subjects.bucket("interruptions")
        self._stream, self._prefix = f"KV_{bucket}", f"$KV.{bucket}."

    async def note(self, key: str, tenant: str, job: str, death: Interruption) -> None:
        """Add a death to a job's record; one that is known adds nothing.

        Raises:
            nats.errors.Error, nats.js.errors.Error: the bus did not take it.
        """
        for _ in range(TRIES):
            known, revision = await self._read(key, tenant, job)
            record = known.with_death(death)
            if record is known:
                return
            expected = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(revision)}
            try:
                await self._bus.js.publish(self._prefix + key, encode(record), headers=expected)
            except nats.js.errors.APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    raise
            else:
                return

    async def deaths(self, key: str, tenant: str, job: str) -> tuple[Interruption, ...]:
        """Of one job; none where nobody can say."""
        try:
            return (await self._read(key, tenant, job))[0].deaths
        except (nats.errors.Error, nats.js.errors.Error):
            return ()

    async def _read(self, key: str, tenant: str, job: str) -> tuple[InterruptionRecord, int]:
        """The record, and its revision; an empty one where there is none of this very job."""
        fresh, revision = InterruptionRecord(tenant=tenant, job=job), 0
        try:
            found = await self._bus.js.get_msg(self._stream, subject=self._prefix + key, direct=True)
            revision = found.seq or 0
            record = decode(InterruptionRecord, found.data or b"")
        except (nats.js.errors.NotFoundError, MalformedMessageError):
            return fresh, revision
        # Of a stream that was deleted and made anew: its numbers begin anew too.
        return (record if (record.tenant, record.job) == (tenant, job) else fresh), revision
