"""Store a job's result: exactly one, whoever comes first (docs/architecture.md).

`Nats-Expected-Last-Subject-Sequence: 0` makes the server refuse a second one with 10071. A lost answer is
simply asked again: if the first try was stored, the second is refused, and that is as good.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from enum import StrEnum

import nats.errors
import nats.js.errors

from lorayard_schemas import headers
from lorayard_schemas.codec import encode
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus, JsonMap
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.nats_client import header_block
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.publishes import Outgoing, Publishes
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.repeated import Repeated
from lorayard_shared.value import value

WRONG_LAST_SEQUENCE = 10071
STORE_FAILED = 10077
"""Any refusal of the store: only the text tells a full one."""
MEND_FULL = (
    "raise LORAYARD_RESULTS_MAX_BYTES (for texts over 512 KiB LORAYARD_PAYLOADS_MAX_BYTES) and run "
    "`lorayard doctor --mend` with it; until then finished jobs wait at their workers"
)
MESSAGE_CHARACTERS = 16 * 1024
"""Of an error that is longer than a message: some library's whole state, as a rule."""
FIRST_BACKOFF_SECONDS = 0.1
LAST_BACKOFF_SECONDS = 2.0
TELL_SECONDS = 10.0
"""Between two lines about the same trouble: every held job meets it, every two seconds."""


class Stored(StrEnum):
    """What became of a result."""

    NOW = "now"
    BEFORE = "before"
    """Another result of this job was stored first; ours is void, and the job can be acked all the same."""


@value
class PackedResult:
    """A result as it is stored, and whose it is."""

    tenant: str
    job: str
    body: bytes


class ResultStore:
    """Publishes results and keeps at it until the server has answered."""

    def __init__(self, bus: Bus, payloads: PayloadStore) -> None:
        self._bus = bus
        self._payloads = payloads
        self._publishes = Publishes(bus)
        self._headers = {
            headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0",
            headers.TTL: str(bus.settings.result_ttl_seconds),
        }
        self._head = header_block(self._headers)
        self._log = process_logger()
        self._full = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)
        self._failed = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)

    async def close(self) -> None:
        """For one that does not live as long as its connection."""
        await self._publishes.close()

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

    async def try_together(self, results: Sequence[PackedResult]) -> list[Stored | None]:
        """Store results in one breath; None for each that `store` has to see to.

        Raises:
            nats.errors.Error: the connection takes no message now.
        """
        short = [index for index, result in enumerate(results) if len(result.body) <= INLINE_BYTES]
        answers = await self._publishes.send([self._outgoing(results[index]) for index in short])
        stored: list[Stored | None] = [None] * len(results)
        for index, answer in zip(short, answers, strict=True):
            stored[index] = _read(answer)
        return stored

    async def has(self, tenant: str, job: str) -> bool:
        """Whether a job has its result; where nobody can say, it counts as none: a second one is void."""
        subject = self._bus.subjects.result(tenant, job)
        try:
            await self._bus.js.get_msg(self._bus.subjects.stream("results"), subject=subject, direct=True)
        except (nats.js.errors.NotFoundError, nats.errors.Error):
            return False
        return True

    def _outgoing(self, result: PackedResult) -> Outgoing:
        subject = self._bus.subjects.result(result.tenant, result.job)
        return Outgoing(subject=subject, body=result.body, head=self._head)

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
        body = await self._body(result)
        try:
            await self._bus.js.publish(subject, body, headers=dict(self._headers))
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                return Stored.BEFORE
            raise
        return Stored.NOW

    async def _body(self, result: JobResult) -> bytes:
        body = encode(result)
        if len(body) <= INLINE_BYTES:
            return body
        if result.text is None:
            return encode(_shortened(result))
        # By content too: a second run's other text must not replace the one that the stored result refers to.
        name = hashlib.sha256(f"{result.tenant}\0{result.job}\0{result.text}".encode()).hexdigest()
        ref = await self._payloads.put(f"result-{name}", result.text)
        return encode(result.model_copy(update={"text": None, "text_ref": ref}))


def _shortened(result: JobResult) -> JobResult:
    """With as much of its error's text as a message can hold: unstored, its job would never be answered."""
    if result.error is None:
        return result
    message = f"{result.error.message[:MESSAGE_CHARACTERS]} ..."
    return result.model_copy(update={"error": result.error.model_copy(update={"message": message})})


def _is_full(error: nats.js.errors.APIError) -> bool:
    return error.err_code == STORE_FAILED and "maximum" in (error.description or "")


def _read(answer: Heard | None) -> Stored | None:
    """The stream's answer to a result; None when it is neither stored nor refused for good."""
    if answer is None or answer.raw_headers:  # the headers tell that nobody listens
        return None
    if b'"error"' not in answer.data:
        return Stored.NOW
    told: JsonMap = json.loads(answer.data).get("error") or {}
    return Stored.BEFORE if told.get("err_code") == WRONG_LAST_SEQUENCE else None
