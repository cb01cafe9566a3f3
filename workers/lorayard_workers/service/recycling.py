"""Ends a worker that works but has grown old, so that a fresh process takes its place.

After so many jobs, or with so much memory. It drains first, as for any stop. One worker of a yard at a time:
who recycles takes the turn, a key in the bucket `yard_turns`, and gives it back once it is there again. One
that never comes back loses it by the key's time to live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas import headers
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.errors import SettingsError
from lorayard_shared.logs import Event
from lorayard_workers.errors import WorkerRecycledError
from lorayard_workers.service.resident import resident_bytes

LOOK_SECONDS = 0.5
TURN = "recycling"
BACK_SECONDS = 300
"""Beyond the drain, until the turn is another's: a model of some gigabytes is loaded by then."""

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, ApiError, TimeoutError)


class Recycling:
    """One worker's part."""

    def __init__(
        self,
        bus: Bus,
        *,
        worker: str,
        jobs_done: Callable[[], int],
        after_jobs: int | None,
        after_bytes: int | None,
        drain_seconds: float,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self._bus = bus
        self._worker = worker
        self._jobs_done = jobs_done
        self._after_jobs = after_jobs
        self._after_bytes = after_bytes
        self._turn_seconds = int(drain_seconds) + BACK_SECONDS
        self._resident = resident
        self._subject = f"$KV.{bus.subjects.bucket('turns')}.{TURN}"
        self._log = structlog.get_logger()

    @property
    def wanted(self) -> bool:
        """Whether it ever recycles."""
        return self._after_jobs is not None or self._after_bytes is not None

    def check(self) -> None:
        """Refuse a bound that it is beyond before its first job: it would recycle for ever.

        Raises:
            SettingsError: saying what it takes.
        """
        taken = self._resident()
        if self._after_bytes is not None and taken >= self._after_bytes:
            reason = f"the worker takes {taken} bytes before its first job; allow a good deal more"
            raise SettingsError(setting="LORAYARD_RECYCLE_RSS_BYTES", reason=reason)

    async def run(self) -> None:
        """Look again and again, until cancelled.

        Raises:
            WorkerRecycledError: it is time, and this worker's turn.
        """
        await self.give_turn_back()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            reason = self.reason()
            if reason is not None and await self.take_turn():
                raise WorkerRecycledError(reason)

    def reason(self) -> str | None:
        """Why it is time; None: it is not."""
        done = self._jobs_done()
        if self._after_jobs is not None and done >= self._after_jobs:
            return f"{done} jobs are done, and it is recycled after {self._after_jobs}"
        if self._after_bytes is not None and done and (taken := self._resident()) >= self._after_bytes:
            return f"it takes {taken} bytes of memory, and is recycled at {self._after_bytes}"
        return None

    async def take_turn(self) -> bool:
        """Whether no other worker recycles now; where the bus does not say, the next look asks again."""
        told = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0", headers.TTL: str(self._turn_seconds)}
        try:
            await self._bus.js.publish(self._subject, self._worker.encode(), headers=told)
        except nats.js.errors.APIError:
            return await self._has_turn()
        except _TROUBLE:
            return False
        return True

    async def _has_turn(self) -> bool:
        """Whether the turn that is taken is this worker's: nobody may have confirmed it in time.

        One that never runs out was written by other hands. It is taken away: no worker would recycle again.
        """
        stream = f"KV_{self._bus.subjects.bucket('turns')}"
        try:
            held = await self._bus.js.get_msg(stream, subject=self._subject, direct=True)
            if held.data == self._worker.encode():
                return True
            if headers.TTL not in (held.headers or {}):
                reason = "a turn that never runs out; it is taken away"
                self._log.error(Event.MESSAGE_MALFORMED, key=TURN, field=headers.TTL, reason=reason)
                await self._bus.api(f"STREAM.PURGE.{stream}", {"filter": self._subject})
        except _TROUBLE:
            return False  # it has run out meanwhile, or the bus does not say: the next look asks again
        return False

    async def give_turn_back(self) -> None:
        """It is there again; the turn of another is left alone."""
        stream = f"KV_{self._bus.subjects.bucket('turns')}"
        try:
            held = await self._bus.js.get_msg(stream, subject=self._subject, direct=True)
            if held.data == self._worker.encode():
                await self._bus.api(f"STREAM.PURGE.{stream}", {"filter": self._subject})
        except nats.js.errors.NotFoundError:
            return
        except _TROUBLE as error:  # then it runs out by itself
            self._log.warning(Event.BUS_FAILED, error=str(error) or type(error).__name__)
