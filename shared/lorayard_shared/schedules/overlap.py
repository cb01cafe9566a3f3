"""What becomes of an occurrence that comes due while an earlier one is still at work."""

from __future__ import annotations

import time

from lorayard_schemas import headers
from lorayard_schemas.assignment import CancelJob
from lorayard_schemas.codec import encode
from lorayard_schemas.schedule import Overlap, ScheduledRun, ScheduleState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.schedules.deciding import unended
from lorayard_shared.schedules.placing import schedule_at
from lorayard_shared.schedules.store import ScheduleStore

QUEUE_SECONDS = 2.0
"""Between two looks of one that waits for earlier ones."""

CANCEL_SECONDS = 5.0


class Overlaps:
    """Judges occurrences as they come due, for whoever takes them in."""

    def __init__(self, bus: Bus, answers: Answers) -> None:
        self._bus = bus
        self._answers = answers
        self._store = ScheduleStore(bus)

    async def settled(self, job: TakenJob) -> bool:
        """Whether this occurrence is seen to: cancelled, or put off. Otherwise it may run.

        Raises:
            nats.errors.Error: the bus does not say.
        """
        assert job.plan is not None, "only occurrences are judged"
        plan = await self._store.find(job.address.tenant, job.plan)
        if plan is None:
            return False  # taken away since it came due
        state, _ = await self._store.state(plan.tenant, plan.name)
        busy = await self._at_work(state, job.job)
        if not busy:
            return False
        made_up = any(run.job == job.job and run.how == "caught_up" for run in state.runs)
        # Those that are made up come all at once, and would skip each other.
        if plan.overlap is Overlap.QUEUE or (plan.overlap is Overlap.SKIP and made_up):
            await self._put_off(job)
            return True
        if plan.overlap is Overlap.SKIP:
            await self._answers.overlapped(job)
            return True
        for run in busy:
            await self._cancel(plan.tenant, run.job)
        return False

    async def _at_work(self, state: ScheduleState, job: str) -> list[ScheduledRun]:
        """Earlier ones without a result; one whose result may be forgotten by now counts as ended."""
        forgotten = time.time() - self._bus.settings.result_ttl_seconds
        before = [run for run in unended(state) if run.job != job and run.at > forgotten]
        own = next((place for place, run in enumerate(state.runs) if run.job == job), len(state.runs))
        earlier = {run.job for run in state.runs[:own]}
        return [
            run
            for run in before
            if run.job in earlier and not await self._answers.has_result(state.tenant, run.job)
        ]

    async def _put_off(self, job: TakenJob) -> None:
        subject = self._bus.subjects.delayed_job(job.address.tenant, job.job)
        await self._bus.js.publish(
            subject,
            job.body,
            headers={
                # Told twice of one delivery it waits once.
                headers.MSG_ID: self._bus.message_id(f"{subject}-after-{job.key}"),
                headers.SCHEDULE: schedule_at(time.time() + QUEUE_SECONDS),
                headers.SCHEDULE_TARGET: self._bus.subjects.due_job(job.address),
                headers.PLAN: job.plan or "",
            },
        )
        await self._answers.let_go(job)

    async def _cancel(self, tenant: str, job: str) -> None:
        # Whoever answers cancels: this dispatcher, another one, or a worker while there is none.
        body = encode(CancelJob(tenant=tenant, job=job))
        await self._bus.nc.request(self._bus.subjects.dispatcher("cancel"), body, timeout=CANCEL_SECONDS)
