"""Keeps one occurrence of every schedule placed ahead, and notes what became of those before.

The server lets occurrences go by itself. So nothing here has to be in time, and a dispatcher that takes over
finds in the bucket how far the one before had come: first an occurrence is placed, then that is written, and
to place it once more changes nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.result import JobResult
from lorayard_schemas.schedule import PLANS, STATES, Schedule, ScheduleState, plan_key, state_key
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.jobs.unschedule import unschedule
from lorayard_shared.jobs.watched import read_under
from lorayard_shared.logs import Event
from lorayard_shared.registry.errors import ContendedError
from lorayard_shared.schedules.calendar import CalendarError
from lorayard_shared.schedules.deciding import Decision, decide, unended, with_results
from lorayard_shared.schedules.placing import place
from lorayard_shared.schedules.store import BUCKET, ScheduleStore

LOOK_SECONDS = 1.0
"""From an occurrence to the placing of the next: cron's smallest step is a minute."""

GATHER_SECONDS = 0.1
"""After a change, for more of them: what is written here is heard of, too, and a look goes over all."""

RESULTS_SECONDS = 5.0
"""Between two looks after results that are not there yet."""

TRIES = 5
M = TypeVar("M", Schedule, ScheduleState)

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, ApiError, TimeoutError, ContendedError)


class Recurring:
    """One dispatcher's part in it; only the one that keeps the adapters acts."""

    def __init__(
        self, bus: Bus, *, is_active: Callable[[], bool], clock: Callable[[], float] = time.time
    ) -> None:
        self._bus = bus
        self._store = ScheduleStore(bus)
        self._is_active = is_active
        self._clock = clock
        self._plans: dict[str, Schedule] = {}
        self._states: dict[str, ScheduleState] = {}
        """Both by the rest of their keys."""
        self._quiet: dict[str, tuple[float, float]] = {}
        """From when until when, by the clock, nothing is to be done: to ask a calendar takes 50 us, and
        there may be 10,000."""
        self._results_at = 0.0
        self._stirred = asyncio.Event()
        self._broken: dict[str, str] = {}
        self._log = structlog.get_logger()

    @property
    def bucket(self) -> str:
        """Whose changes belong here."""
        return self._bus.subjects.bucket(BUCKET)

    def on_change(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of schedules."""
        if key.startswith(PLANS):
            plan = read_under(key, value, Schedule, _plan_key) if value else None
            if plan is None and value:
                return
            _put(self._plans, key.removeprefix(PLANS), plan)
        elif key.startswith(STATES):
            state = read_under(key, value, ScheduleState, _state_key) if value else None
            if state is None and value:
                return
            _put(self._states, key.removeprefix(STATES), state)
        self._quiet.pop(key.partition(".")[2], None)
        self._stirred.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            if self._is_active():
                await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stirred.wait()
                await asyncio.sleep(GATHER_SECONDS)
            self._stirred.clear()

    async def look(self) -> None:
        """See to every schedule once."""
        notes = time.monotonic() >= self._results_at
        if notes:
            self._results_at = time.monotonic() + RESULTS_SECONDS
        for key in list(self._plans.keys() | self._states.keys()):
            try:
                await self._see_to(key, notes=notes)
            except CalendarError as error:
                if self._is_news(key, error.reason):
                    self._log.error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            except _TROUBLE as error:
                self._log.warning(Event.BUS_FAILED, schedule=key, error=str(error) or type(error).__name__)
            except Exception as error:  # noqa: BLE001  # one schedule's trouble must not end all others, nor the dispatcher
                if self._is_news(key, repr(error)):
                    self._log.exception(Event.LOOP_FAILED, what="schedule", schedule=key)

    def _is_news(self, key: str, reason: str) -> bool:
        before, self._broken[key] = self._broken.get(key), reason
        return before != reason

    async def _see_to(self, key: str, *, notes: bool) -> None:
        plan, state = self._plans.get(key), self._states.get(key)
        if plan is None:
            if state is not None:  # whoever took it away did not come that far
                await self._store.clear(state.tenant, state.name)
                self._states.pop(key, None)
            return
        if state is None or not await self._is_quiet(key, plan, state):
            await self._step(key, plan)
        elif notes and unended(state):
            await self._note(key, state)

    async def _is_quiet(self, key: str, plan: Schedule, state: ScheduleState) -> bool:
        """Whether nothing is to be done about it now."""
        now = self._clock()
        begins, ends = self._quiet.get(key, (math.inf, 0.0))
        if begins <= now < ends:
            return True
        await asyncio.sleep(0)  # a dispatcher that takes over asks all calendars, and has jobs to give out
        if decide(plan, state, now).state != state:
            return False
        self._quiet[key] = (now, math.inf if state.ahead is None else state.ahead.due)
        return True

    async def _step(self, key: str, plan: Schedule) -> None:
        """By what the bucket holds now: somebody may have changed it, or been here before."""
        for _ in range(TRIES):
            fresh = await self._store.find(plan.tenant, plan.name)
            if fresh is None:
                return
            known, revision = await self._store.state(plan.tenant, plan.name)
            decision = decide(fresh, known, self._clock())
            await self._carry_out(fresh, decision)
            if await self._store.try_state(decision.state, revision):
                self._states[key] = decision.state
                self._quiet.pop(key, None)
                return

    async def _carry_out(self, plan: Schedule, decision: Decision) -> None:
        gone: str | None = None
        if decision.withdraw is not None and not await unschedule(self._bus, plan.tenant, decision.withdraw):
            gone = decision.withdraw  # the server's clock was ahead of ours: it comes, and not twice
        for placing in decision.place:
            if placing.job != gone:
                await place(self._bus, plan, decision.state, placing)
                self._log.info(
                    Event.OCCURRENCE_PLACED, schedule=plan.name, tenant=plan.tenant, job=placing.job
                )

    async def _note(self, key: str, known: ScheduleState) -> None:
        """Write what has become of runs: results are forgotten after a while, the history is not."""
        found: dict[str, JobResult] = {}
        stream = self._bus.subjects.stream("results")
        for run in unended(known):
            subject = self._bus.subjects.result(known.tenant, run.job)
            try:
                message = await self._bus.js.get_msg(stream, subject=subject, direct=True)
                found[run.job] = decode(JobResult, message.data or b"")
            except (nats.js.errors.NotFoundError, MalformedMessageError):
                continue
        if found:
            noted = await self._store.change_state(
                known.tenant, known.name, lambda state: with_results(state, found)
            )
            self._states[key] = noted


def _put(known: dict[str, M], key: str, value: M | None) -> None:
    if value is None:
        known.pop(key, None)
    else:
        known[key] = value


def _plan_key(plan: Schedule) -> str:
    return plan_key(plan.tenant, plan.name)


def _state_key(state: ScheduleState) -> str:
    return state_key(state.tenant, state.name)
