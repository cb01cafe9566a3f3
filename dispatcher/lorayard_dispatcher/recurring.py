"""Keeps one occurrence of every schedule placed ahead, and notes what became of those before.

The server lets occurrences go by itself. So nothing here has to be in time, and a dispatcher that takes over
finds in the bucket how far the one before had come: first an occurrence is placed, then that is written, and
to place it once more changes nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Mapping, Sequence
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
from lorayard_shared.bus.last_messages import last_messages
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
AT_ONCE = 32
"""Schedules that are seen to at the same time: one round trip of the server for all of them."""

LONG_SECONDS = 6 * 3600.0
"""What passed since a schedule was decided on, from which on its calendar is asked in a thread: to count the
10,000 occurrences of a week takes 0.1 s."""

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
        self._stirred_keys: set[str] = set()
        """Those to be looked at: to ask a calendar takes 50 us, and there may be 10,000."""
        self._rests: list[tuple[float, str]] = []
        """A heap: when there will be something to do, by the clock, about which."""
        self._rest_ends: dict[str, float] = {}
        """The newest of each in there."""
        self._looked_at = 0.0
        self._open: set[str] = set()
        """Those with runs that have no result yet."""
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
        self._stir(key.partition(".")[2])

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
        """See to every schedule about which there is something to do."""
        keys = self._due()
        for start in range(0, len(keys), AT_ONCE):
            await asyncio.gather(*(self._guarded(key) for key in keys[start : start + AT_ONCE]))
        if time.monotonic() >= self._results_at:
            self._results_at = time.monotonic() + RESULTS_SECONDS
            try:
                await self._note(sorted(self._open))
            except _TROUBLE as error:
                self._log.warning(Event.BUS_FAILED, waited_for="results", error=_told(error))

    def _due(self) -> list[str]:
        """Those that somebody has changed, or whose time has come."""
        now = self._clock()
        if now < self._looked_at:  # it was set back: what rests was reckoned by another time
            self._stirred_keys |= self._plans.keys() | self._states.keys()
            self._rests.clear()
            self._rest_ends.clear()
        self._looked_at = now
        while self._rests and self._rests[0][0] <= now:
            at, key = heapq.heappop(self._rests)
            if self._rest_ends.get(key) == at:
                del self._rest_ends[key]
                self._stirred_keys.add(key)
        keys, self._stirred_keys = sorted(self._stirred_keys), set()
        return keys

    async def _guarded(self, key: str) -> None:
        """See to one; whatever it is, it must not end all others, nor the dispatcher."""
        try:
            await self._see_to(key)
        except CalendarError as error:
            self._stirred_keys.add(key)
            if self._is_news(key, error.reason):
                self._log.error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
        except _TROUBLE as error:
            self._stirred_keys.add(key)
            self._log.warning(Event.BUS_FAILED, schedule=key, error=_told(error))
        except Exception as error:  # noqa: BLE001  # one schedule's trouble, as said above
            self._stirred_keys.add(key)
            if self._is_news(key, repr(error)):
                self._log.exception(Event.LOOP_FAILED, what="schedule", schedule=key)

    def _stir(self, key: str) -> None:
        state = self._states.get(key)
        if state is not None and unended(state):
            self._open.add(key)
        else:
            self._open.discard(key)
        self._stirred_keys.add(key)

    def _is_news(self, key: str, reason: str) -> bool:
        before, self._broken[key] = self._broken.get(key), reason
        return before != reason

    async def _see_to(self, key: str) -> None:
        plan, state = self._plans.get(key), self._states.get(key)
        if plan is None:
            if state is not None:  # whoever took it away did not come that far
                await self._store.clear(state.tenant, state.name)
                self._states.pop(key, None)
                self._open.discard(key)
            return
        if state is None or not await self._rests_now(key, plan, state):
            await self._step(key, plan)

    async def _rests_now(self, key: str, plan: Schedule, state: ScheduleState) -> bool:
        """Whether nothing is to be done about it now; then it is looked at again when there will be."""
        await asyncio.sleep(0)  # a dispatcher that takes over asks all calendars, and has jobs to give out
        if (await self._decide(plan, state)).state != state:
            return False
        if state.ahead is not None and self._rest_ends.get(key) != state.ahead.due:
            self._rest_ends[key] = state.ahead.due
            heapq.heappush(self._rests, (state.ahead.due, key))
        return True

    async def _decide(self, plan: Schedule, state: ScheduleState) -> Decision:
        now = self._clock()
        if now - max(state.until, plan.since) > LONG_SECONDS:
            return await asyncio.to_thread(decide, plan, state, now)
        return decide(plan, state, now)

    async def _step(self, key: str, plan: Schedule) -> None:
        """By what the bucket holds now: somebody may have changed it, or been here before."""
        self._stirred_keys.add(key)  # until nothing is to be done
        for _ in range(TRIES):
            fresh = await self._store.find(plan.tenant, plan.name)
            if fresh is None:
                return
            known, revision = await self._store.state(plan.tenant, plan.name)
            decision = await self._decide(fresh, known)
            await self._carry_out(fresh, decision)
            if await self._store.try_state(decision.state, revision):
                self._states[key] = decision.state
                self._stir(key)
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

    async def _note(self, keys: Sequence[str]) -> None:
        """Write what has become of runs: results are forgotten after a while, the history is not."""
        known = {key: state for key in keys if (state := self._states.get(key)) is not None}
        subjects = {
            self._bus.subjects.result(state.tenant, run.job): (key, run.job)
            for key, state in known.items()
            for run in unended(state)
        }
        stream = self._bus.subjects.stream("results")
        ended: dict[str, dict[str, JobResult]] = {}
        for subject, body in (await last_messages(self._bus, stream, list(subjects))).items():
            key, job = subjects[subject]
            with suppress(MalformedMessageError):
                ended.setdefault(key, {})[job] = decode(JobResult, body)
        told = list(ended.items())
        for start in range(0, len(told), AT_ONCE):
            await asyncio.gather(*(self._write(key, found) for key, found in told[start : start + AT_ONCE]))

    async def _write(self, key: str, found: Mapping[str, JobResult]) -> None:
        known = self._states.get(key)
        if known is None:
            return  # its schedule was taken away while its results were asked for
        noted = await self._store.change_state(
            known.tenant, known.name, lambda state: with_results(state, found)
        )
        self._states[key] = noted
        self._stir(key)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _put(known: dict[str, M], key: str, value: M | None) -> None:
    if value is None:
        known.pop(key, None)
    else:
        known[key] = value


def _plan_key(plan: Schedule) -> str:
    return plan_key(plan.tenant, plan.name)


def _state_key(state: ScheduleState) -> str:
    return state_key(state.tenant, state.name)
