"""Store a job's result: exactly one, whoever comes first (docs/architecture.md).

`Nats-Expected-Last-Subject-Sequence: 0` makes the server refuse a second one with 10071. A lost answer is
simply asked again: if the first try was stored, the second is refused, and that is as good.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from enum import StrEnum

import nats.errors
import nats.js.errors

from lorayard_schemas import headers
from lorayard_schemas.codec import encode
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.repeated import Repeated

WRONG_LAST_SEQUENCE = 10071
STORE_FAILED = 10077
"""Any refusal of the store: only the text tells a full one."""
MEND_FULL = (
    "raise LORAYARD_RESULTS_MAX_BYTES (for texts over 512 KiB LORAYARD_PAYLOADS_MAX_BYTES) and run "
    "`lorayard doctor --mend` with it; until then finished jobs wait at their workers"
)
FIRST_BACKOFF_SECONDS = 0.1
LAST_BACKOFF_SECONDS = 2.0
TELL_SECONDS = 10.0
"""Between two lines about the same trouble: every held job meets it, every two seconds."""


class Stored(StrEnum):
    """What became of a result."""

    NOW = "now"
    BEFORE = "before"
    """Another result of this job was stored first; ours is void, and the job can be acked all the same."""


class ResultStore:
    """Publishes results and keeps at it until the server has answered."""

    def __init__(self, bus: Bus, payloads: PayloadStore) -> None:
        self._bus = bus
        self._payloads = payloads
        self._ttl = str(bus.settings.result_ttl_seconds)
        self._log = process_logger()
        self._full = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)
        self._failed = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)

    async def store(self, result: JobResult) -> Stored:
        """Store a result, waiting out any trouble with the bus; the caller keeps the lease meanwhile."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            try:
                return await self._try(result)
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
                self._tell(result, error)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF_SECONDS)

    def _tell(self, result: JobResult, error: Exception) -> None:
        """One line for many tries; `job` is the one that met the trouble last."""
        if isinstance(error, nats.js.errors.APIError) and _is_full(error):
            if (times := self._full.again()) is not None:
                self._log.error(
                    Event.RESULTS_FULL,
                    job=result.job,
                    stream=self._bus.subjects.stream("results"),
                    error=error.description,
                    times=times,
                    mend=MEND_FULL,
                )
        elif (times := self._failed.again()) is not None:
            reason = str(error) or type(error).__name__
            self._log.warning(Event.BUS_FAILED, job=result.job, error=reason, times=times)

    async def _try(self, result: JobResult) -> Stored:
        subject = self._bus.subjects.result(result.tenant, result.job)
        stored_headers = {
            headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0",
            headers.TTL: self._ttl,
        }
        body = await self._body(result)
        try:
            await self._bus.js.publish(subject, body, headers=stored_headers)
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                return Stored.BEFORE
            raise
        return Stored.NOW

    async def _body(self, result: JobResult) -> bytes:
        body = encode(result)
        if len(body) <= INLINE_BYTES or result.text is None:
            return body
        # By content too: a second run's other text must not replace the one that the stored result refers to.
        name = hashlib.sha256(f"{result.tenant}\0{result.job}\0{result.text}".encode()).hexdigest()
        ref = await self._payloads.put(f"result-{name}", result.text)
        return encode(result.model_copy(update={"text": None, "text_ref": ref}))


def _is_full(error: nats.js.errors.APIError) -> bool:
    return error.err_code == STORE_FAILED and "maximum" in (error.description or "")
