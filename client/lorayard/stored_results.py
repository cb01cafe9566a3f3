"""Read stored results straight from their stream: one by one, or hundreds in one request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from lorayard.errors import YardNotReadyError
from lorayard_shared.bus.connection import Bus

BATCH_JOBS = 128
"""Ids per request: 128 results of 512 KiB each still fit into a subscription's buffer."""

BATCH_SECONDS = 2.0
"""An answer takes milliseconds; one lost with its server must not hold up the next question for long."""


class StoredResults:
    """The results of one tenant as they lie in the stream, undecoded."""

    def __init__(self, bus: Bus, tenant: str) -> None:
        self._bus = bus
        self._stream = bus.subjects.stream("results")
        self._subject = bus.subjects.result(tenant, "")

    async def get(self, job_id: str) -> bytes | None:
        """A result; None if there is none.

        Raises:
            YardNotReadyError: there is no stream of results.
            nats.errors.Error: no answer.
        """
        try:
            found = await self._bus.js.get_msg(self._stream, subject=self._subject + job_id, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        except nats.errors.NoRespondersError as error:
            raise self._not_ready() from error
        return found.data or b""

    async def get_many(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """What is stored of these, by id.

        Raises:
            YardNotReadyError: there is no stream of results.
            nats.errors.Error, TimeoutError: no answer.
        """
        found: dict[str, bytes] = {}
        for start in range(0, len(job_ids), BATCH_JOBS):
            await self._get_batch(job_ids[start : start + BATCH_JOBS], found)
        return found

    async def _get_batch(self, job_ids: Sequence[str], found: dict[str, bytes]) -> None:
        # The server's batched direct get (ADR-31), which nats-py does not wrap.
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            headers = message.headers or {}
            if status := headers.get("Status"):
                if not over.done():
                    over.set_result(status)
            else:
                found[headers["Nats-Subject"][len(self._subject) :]] = message.data

        inbox = self._bus.nc.new_inbox()
        subscription = await self._bus.nc.subscribe(inbox, cb=take)
        try:
            body = json.dumps({"multi_last": [self._subject + job_id for job_id in job_ids]}).encode()
            await self._bus.nc.publish(f"$JS.API.DIRECT.GET.{self._stream}", body, reply=inbox)
            async with asyncio.timeout(BATCH_SECONDS):
                status = await over
        finally:
            if not self._bus.nc.is_closed:
                await subscription.unsubscribe()
        if status == "503":
            raise self._not_ready()

    def _not_ready(self) -> YardNotReadyError:
        return YardNotReadyError(prefix=self._bus.subjects.prefix, missing=f"stream {self._stream}")
