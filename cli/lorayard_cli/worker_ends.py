"""The last words of workers that ended themselves."""

from __future__ import annotations

from contextlib import suppress

from lorayard_schemas.audit import AuditKind, WorkerEndRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import scan

SECONDS = 10.0


async def worker_ends(bus: Bus, worker: str | None = None) -> list[WorkerEndRecord]:
    """Those of one worker, or of all, the oldest first, as far back as audit records are kept.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    found: list[WorkerEndRecord] = []

    def look(_subject: str, _headers: dict[str, str], body: bytes) -> None:
        with suppress(MalformedMessageError):
            found.append(decode(WorkerEndRecord, body))

    subjects = bus.subjects
    # A name is one token.
    subject = f"{subjects.prefix}.audit.{AuditKind.END}.*"
    if worker is not None:
        subject = subjects.worker_audit(AuditKind.END, worker)
    await scan(bus, subjects.stream("audit"), subject, look, seconds=SECONDS)
    return found
