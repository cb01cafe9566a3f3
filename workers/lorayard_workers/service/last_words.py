"""What a worker says as it ends, where an operator finds it: `lorayard workers show`.

A thread hangs, perhaps the event loop: so it goes out over the lease keeper's connection, which has a thread
of its own. What holds the interpreter itself leaves its stacks on standard error only.
"""

from __future__ import annotations

import time

from lorayard_schemas.audit import AuditKind, WorkerEnd, WorkerEndRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.subjects import Subjects
from lorayard_shared.audit.chain import Chain
from lorayard_shared.lease import LeaseKeeper
from lorayard_workers.errors import WorkerHungError, WorkerRecycledError, WorkerSpentError
from lorayard_workers.service.held_jobs import HeldJobs
from lorayard_workers.service.resident import resident_bytes

JOBS = 64
"""Named of those that it held."""

STACK_CHARACTERS = 20_000


class LastWords:
    """Those of one worker; `hung` may be called on any thread."""

    def __init__(self, leases: LeaseKeeper, subjects: Subjects, held: HeldJobs, *, worker: str) -> None:
        self._leases = leases
        self._subject = subjects.worker_audit(AuditKind.END, worker)
        self._held = held
        self._worker = worker

    def hung(self, stall: WorkerHungError, stacks: str) -> None:
        """A thread makes no progress; `stacks` say where every one stands."""
        self._say(WorkerEnd.HUNG, str(stall), stacks[:STACK_CHARACTERS])

    def spent(self, error: WorkerSpentError) -> None:
        """Its engine is over; of a hang the watchdog has told."""
        if not isinstance(error, WorkerHungError):
            self._say(WorkerEnd.SPENT, str(error), "")

    def recycled(self, error: WorkerRecycledError) -> None:
        """It makes room for a fresh one."""
        self._say(WorkerEnd.RECYCLED, str(error), "")

    def _say(self, end: WorkerEnd, reason: str, stacks: str) -> None:
        record = WorkerEndRecord(
            at=time.time(),
            worker=self._worker,
            end=end,
            reason=reason,
            stacks=stacks,
            jobs=tuple(self._held.keys)[:JOBS],
            resident_bytes=resident_bytes(),
        )
        body = encode(record)
        # A chain for each: nobody tells whether one arrived before the next.
        self._leases.say(self._subject, body, Chain(f"worker-{self._worker}").link(self._subject, body))
