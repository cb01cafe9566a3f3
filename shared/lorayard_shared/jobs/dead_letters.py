"""Writing dead letters: one for each job that is given up, whoever gives it up, however often."""

from __future__ import annotations

import time
from collections.abc import Sequence

import nats.js.errors
import structlog

from lorayard_schemas import headers
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import MAX_JOB_BYTES
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.deleting import delete_message
from lorayard_shared.bus.result_store import WRONG_LAST_SEQUENCE
from lorayard_shared.logs import Event

TRIES = 3
"""Two processes that write about one job take turns at most so often."""


def letter_of(
    *,
    subject: str,
    address: JobAddress,
    job: str,
    key: str,
    body: bytes,
    code: str,
    reason: str,
    deliveries: int,
    attempts: Sequence[AttemptRecord] = (),
) -> DeadLetter:
    """The letter of a job that could be read; `key` is the message's stream and sequence."""
    return DeadLetter(
        subject=subject,
        sequence=int(key.rpartition("-")[2]),
        job=job,
        tenant=address.tenant,
        adapter=address.adapter,
        code=code,
        reason=reason,
        deliveries=deliveries,
        attempts=tuple(attempts),
        body=body[:MAX_JOB_BYTES],
        truncated=len(body) > MAX_JOB_BYTES,
        at=time.time(),
    )


class DeadLetters:
    """Writes them. Every method raises `nats.errors.Error` or `nats.js.errors.Error` where the bus has not
    taken it: then the job's lease is not to be acked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._stream = bus.subjects.stream("dead")
        self._log = structlog.get_logger()

    async def bury(self, letter: DeadLetter) -> int | None:
        """Write the letter of a job; returns its sequence, None if the same one is there already.

        One job has one letter: an older one of its id, from another life of it, is replaced.
        """
        assert letter.job is not None, "one without is kept by `bury_unreadable`"
        assert letter.tenant is not None, "it was in the subject"
        subject = self._bus.subjects.dead_letter(letter.tenant, letter.adapter, letter.job)
        for _ in range(TRIES):
            try:
                stored = await self._bus.js.publish(
                    subject, encode(letter), headers={headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0"}
                )
            except nats.js.errors.APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    raise
            else:
                self._log.warning(Event.JOB_DEAD, job=letter.job, tenant=letter.tenant, code=letter.code)
                return stored.seq
            if await self._is_there(subject, letter):
                return None
        return None

    async def bury_unreadable(self, letter: DeadLetter, tenant_token: str, key: str) -> None:
        """Write the letter of a message without a readable id."""
        # The message id makes a second burial, after a lost answer, a duplicate.
        await self._bus.js.publish(
            self._bus.subjects.unreadable_letter(tenant_token),
            encode(letter),
            headers={headers.MSG_ID: f"dead-{key}"},
        )
        self._log.warning(Event.JOB_DEAD, subject=letter.subject, sequence=letter.sequence)

    async def take_back(self, sequence: int) -> None:
        """The job was answered otherwise: its letter goes."""
        await delete_message(self._bus, self._stream, sequence)

    async def _is_there(self, subject: str, letter: DeadLetter) -> bool:
        """Whether what stands there is this letter; another one makes way."""
        try:
            found = await self._bus.js.get_msg(self._stream, subject=subject, direct=True)
        except nats.js.errors.NotFoundError:
            return False  # redriven or purged just now
        try:
            known = decode(DeadLetter, found.data or b"")
        except MalformedMessageError:
            known = None
        if known is not None and (known.subject, known.sequence) == (letter.subject, letter.sequence):
            return True
        assert found.seq is not None, "every stored message has one"
        await delete_message(self._bus, self._stream, found.seq)
        return False
