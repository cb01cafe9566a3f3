"""Jobs whose time has come: delayed ones, further attempts, occurrences of a schedule.

They lay where nobody looked at them, perhaps for days: what has its result meanwhile, as it was cancelled, is
let go. That costs one question for each, and such jobs are few.
"""

from __future__ import annotations

from collections.abc import Callable

import nats.errors
import nats.js.errors
import structlog

from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.schedules.overlap import Overlaps


class Due:
    """Judges due jobs before they are taken in as all others are."""

    def __init__(
        self,
        bus: Bus,
        answers: Answers,
        leases: LeaseKeeper,
        *,
        take: Callable[[TakenJob], None],
        spawn: Callable[..., object],
    ) -> None:
        self._answers = answers
        self._leases = leases
        self._overlaps = Overlaps(bus, answers)
        self._take = take
        self._spawn = spawn
        self._log = structlog.get_logger()

    def on_job(self, job: TakenJob) -> None:
        """One whose lease is held."""
        self._spawn(self._look_at(job), f"due-{job.key}")

    async def _look_at(self, job: TakenJob) -> None:
        try:
            if await self._answers.let_go_if_answered(job):
                return
            if job.plan is not None and await self._overlaps.settled(job):
                return
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            # Let go of, it comes again after `ack_wait`.
            self._leases.release(job.lease)
            self._log.warning(Event.BUS_FAILED, job=job.job, error=str(error) or type(error).__name__)
            return
        self._take(job)
