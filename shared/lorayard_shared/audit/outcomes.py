"""How jobs have ended, as audit records: several of them in each, since every record costs its process and
the server as much as a tenth of a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from lorayard_shared.audit.outbox import Spawn

GATHER_SECONDS = 0.05
"""What ends within so long shares a record."""

MOST_JOBS = 64
"""Of a record: about 10 KiB."""


class Outcomes:
    """Gathers what ends in one process."""

    def __init__(
        self, put: Callable[[str, dict[str, Any]], None], subject: str, *, by: str, spawn: Spawn
    ) -> None:
        """`put` writes a record."""
        self._put = put
        self._subject = subject
        self._by = by
        self._spawn = spawn
        self._jobs: list[dict[str, Any]] = []

    def note(
        self,
        *,
        job: str,
        tenant: str,
        state: str,
        attempt: int,
        adapter: str | None = None,
        digest: str | None = None,
        code: str | None = None,
    ) -> None:
        """A job has its result: a `JobEnd`, as a plain map."""
        ended: dict[str, Any] = {"job": job, "tenant": tenant, "state": state, "attempt": attempt}
        if adapter is not None:
            ended["adapter"] = adapter
        if digest is not None:
            ended["digest"] = digest
        if code is not None:
            ended["code"] = code
        self._jobs.append(ended)
        if len(self._jobs) == 1:
            self._spawn(self._write_soon(), "audit-outcomes")

    def ended(self, tenant: str, job: str, state: str, attempt: int, code: str | None) -> None:
        """The same of a job that was not run."""
        self.note(job=job, tenant=tenant, state=state, attempt=attempt, code=code)

    async def _write_soon(self) -> None:
        try:
            await asyncio.sleep(GATHER_SECONDS)
        finally:
            self._write()

    def _write(self) -> None:
        jobs, self._jobs = self._jobs, []
        now = time.time()
        for start in range(0, len(jobs), MOST_JOBS):
            part = jobs[start : start + MOST_JOBS]
            self._put(self._subject, {"v": 1, "at": now, "by": self._by, "jobs": part})
