"""How a worker's jobs have ended, for the audit trail: written behind their backs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import structlog

from lorayard_schemas.audit import AuditKind
from lorayard_schemas.result import ResultState
from lorayard_shared.audit.outbox import AuditOutbox
from lorayard_shared.audit.outcomes import Outcomes
from lorayard_shared.bus.connection import Bus
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_workers.engine.outcome import Failed, Outcome
from lorayard_workers.service.held_jobs import HeldJob

LAST_SECONDS = 1.0
"""For the last records of a worker that stops."""


class Trail:
    """Of one worker."""

    def __init__(self, bus: Bus, *, worker: str, enabled: bool) -> None:
        self._enabled = enabled
        self._tasks = OwnedTasks(structlog.get_logger().bind(worker=worker))
        self._outbox = AuditOutbox(bus, role=f"worker-{worker}", spawn=self._tasks.spawn)
        subject = bus.subjects.worker_audit(AuditKind.OUTCOME, worker)
        self._outcomes = Outcomes(self._outbox.put, subject, by=worker, spawn=self._tasks.spawn)

    def ran(self, held: HeldJob, outcome: Outcome, state: ResultState) -> None:
        """The result of a job that was given to the engine is stored."""
        if not self._enabled:
            return
        assigned = held.assigned
        told: dict[str, Any] = {}
        if (ref := assigned.adapter) is not None:
            told = {"adapter": f"{ref.name}@{ref.version}", "digest": ref.digest}
        elif assigned.composition is not None:
            told = {"adapter": assigned.composition.label, "digest": assigned.composition.digest}
        if isinstance(outcome, Failed):
            told["code"] = outcome.code
        self._outcomes.note(
            job=held.job, tenant=held.address.tenant, state=state, attempt=assigned.attempt, **told
        )

    def refused(self, tenant: str, job: str, state: ResultState, attempt: int, code: str | None) -> None:
        """A job that this worker had pulled by itself was answered without having been run."""
        if self._enabled:
            self._outcomes.ended(tenant, job, state, attempt, code)

    async def end(self) -> None:
        """Write the last ones, where the bus takes them soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._tasks.settle()
        await self._tasks.end()
