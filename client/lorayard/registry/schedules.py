"""`client.schedules`: jobs that come again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import nats.errors
from pydantic import ValidationError

from lorayard.answering import Answering
from lorayard.errors import ContendedError, InvalidRequestError, LorayardError
from lorayard.handle import JobHandle
from lorayard.job_message import build_job, job_address, pack_job
from lorayard.later import MOST_SECONDS
from lorayard.publisher import Outgoing
from lorayard.request import GenerateRequest, Prompt, RequestOptions
from lorayard.stored_results import StoredResults
from lorayard_schemas.codec import decode
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import JobResult
from lorayard_schemas.schedule import CatchUp, Overlap, Schedule, ScheduledRun, ScheduleState, occurrence_id
from lorayard_shared.schedules.calendar import CalendarError
from lorayard_shared.schedules.deciding import unended, upcoming, with_results, with_run
from lorayard_shared.schedules.placing import job_of
from lorayard_shared.schedules.store import ScheduleStore

if TYPE_CHECKING:
    from lorayard.link import Link

UPCOMING = 5
"""Occurrences told of a schedule."""

VIEWS_AT_ONCE = 20
"""To ask a calendar for the next occurrences takes up to a millisecond: others may go on in between."""

_NOT_HERE = {
    "idempotency_key": "the name and the time of an occurrence make its id: leave it out",
    "delay_seconds": "cron, start and jitter_seconds say when: leave it out",
    "start_within_seconds": "deadline_seconds counts from each occurrence: use that",
    "at": "cron, start and jitter_seconds say when: leave it out",
}


class ScheduleOptions(TypedDict, total=False):
    """When, and what then; what each means stands at `lorayard_schemas.schedule.Schedule`."""

    tz: str
    overlap: Overlap | Literal["skip", "queue", "replace"]
    catch_up: CatchUp | Literal["none", "last", "all"]
    catch_up_most: int
    start: datetime | float | None
    end: datetime | float | None
    jitter_seconds: float


class RecurringOptions(RequestOptions, ScheduleOptions, total=False):
    """Both."""


_WHEN = tuple(ScheduleOptions.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule as it stands."""

    schedule: Schedule
    state: ScheduleState
    upcoming: tuple[float, ...]
    """When it is due next, unix seconds, without jitter; nothing while it is paused."""


class Schedules:
    """The recurring jobs of one tenant.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def add(
        self,
        name: str,
        prompt: Prompt,
        *,
        cron: str,
        reason: str = "",
        replacing: bool = False,
        **options: Unpack[RecurringOptions],
    ) -> Schedule:
        """Have a job come whenever a cron expression is due in a time zone.

        `options` are when (`ScheduleOptions`), and what: the fields of `GenerateRequest`.
        `deadline_seconds` counts from each occurrence. `replacing` writes over one of the same name; the very
        same once more changes nothing.

        Raises:
            InvalidRequestError: a field cannot be used, or the name is taken.
            ContendedError: others changed it every time that this was tried.
        """
        link = self._open_link()
        author = link.author(reason)
        wanted = _schedule(link, name, prompt, cron, options)
        async with Answering(link):
            store = ScheduleStore(link.bus)
            known = None if replacing else await store.find(link.tenant, name)
            if known is not None and _is_same(known, wanted):
                return known
            if known is not None:
                reason = f"there is a schedule {name!r}; replacing=True (--replace) writes over it"
                raise InvalidRequestError(field="name", reason=reason)
            return await store.put(wanted, author, verb="add", now=await link.delayed.now())

    async def list(self, *, all_tenants: bool = False) -> list[ScheduleView]:
        """What there is, by name."""
        link = self._open_link()
        async with Answering(link):
            found = await ScheduleStore(link.bus).list(None if all_tenants else link.tenant)
        views: list[ScheduleView] = []
        for standing in found:
            views.append(_view(standing.plan, standing.state))
            if not len(views) % VIEWS_AT_ONCE:
                await asyncio.sleep(0)
        return views

    async def get(self, name: str) -> ScheduleView:
        """One of them.

        Raises:
            ScheduleUnknownError: there is none.
        """
        link = self._open_link()
        async with Answering(link):
            store = ScheduleStore(link.bus)
            plan = await store.get(link.tenant, name)
            return _view(plan, (await store.state(plan.tenant, plan.name))[0])

    async def remove(self, name: str, *, reason: str = "") -> None:
        """Take it away; its jobs that are due already run on.

        Raises:
            ScheduleUnknownError: there is none.
        """
        link = self._open_link()
        async with Answering(link):
            await ScheduleStore(link.bus).remove(link.tenant, name, link.author(reason))

    async def pause(self, name: str, *, reason: str = "") -> Schedule:
        """Have nothing come due until it is resumed.

        Raises:
            ScheduleUnknownError: there is none.
        """
        return await self._pause(name, reason, paused=True)

    async def resume(self, name: str, *, reason: str = "") -> Schedule:
        """Let it go on from here; what it was paused over is not made up.

        Raises:
            ScheduleUnknownError: there is none.
        """
        return await self._pause(name, reason, paused=False)

    async def run_now(self, name: str) -> JobHandle:
        """Submit its job once more, now, whatever else of it runs; also of one that is paused.

        Raises:
            ScheduleUnknownError: there is none.
            YardFullError, SubmitUnconfirmedError: the job was not taken.
        """
        link = self._open_link()
        await link.listener.listen()
        async with Answering(link):
            now = await link.delayed.now()
            job_id = occurrence_id(name, now, by_hand=True)
            store = ScheduleStore(link.bus)
            plan = await store.get(link.tenant, name)
            slot = link.listener.slot(job_id, fresh=True)
            body = pack_job(job_of(plan, job_id, due=now))
            item = Outgoing(job=job_id, subject=link.bus.subjects.job(plan.address), body=body)
            (answer,) = await link.publisher.send([item])
            if isinstance(answer, LorayardError):
                raise answer
            run = ScheduledRun(job=job_id, at=now, how="by_hand")
            with suppress(
                nats.errors.Error, ContendedError
            ):  # the job is taken: its history is worth no error
                await store.change_state(link.tenant, name, lambda state: with_run(state, run))
        return JobHandle(link, slot)

    async def history(self, name: str) -> tuple[ScheduledRun, ...]:
        """Its last occurrences and what became of them, the oldest first.

        Raises:
            ScheduleUnknownError: there is none.
        """
        state = (await self.get(name)).state
        link = self._open_link()
        async with Answering(link):
            waiting = [run.job for run in unended(state)]
            bodies = await StoredResults(link.bus, link.tenant).get_many(waiting)
        found = {job: decode(JobResult, body) for job, body in bodies.items()}
        return with_results(state, found).runs

    async def _pause(self, name: str, reason: str, *, paused: bool) -> Schedule:
        link = self._open_link()
        async with Answering(link):
            store, now = ScheduleStore(link.bus), await link.delayed.now()
            return await store.pause(link.tenant, name, link.author(reason), paused=paused, now=now)


def _is_same(known: Schedule, wanted: Schedule) -> bool:
    """Whether it would come when it comes already, and do the same."""
    signed = {field: getattr(known, field) for field in ("since", "at", "by", "why", "revision", "paused")}
    return known == wanted.model_copy(update=signed)


def _view(plan: Schedule, state: ScheduleState) -> ScheduleView:
    try:
        coming = () if plan.paused else tuple(upcoming(plan, time.time(), UPCOMING))
    except CalendarError:
        coming = ()  # a time zone that is not known on this machine
    return ScheduleView(schedule=plan, state=state, upcoming=coming)


def _schedule(link: Link, name: str, prompt: Prompt, cron: str, options: RecurringOptions) -> Schedule:
    for field, reason in _NOT_HERE.items():
        if options.get(field) is not None:
            raise InvalidRequestError(field=field, reason=reason)
    when = {field: value for field, value in options.items() if field in _WHEN}
    asked = {field: value for field, value in options.items() if field not in _WHEN}
    request = GenerateRequest(prompt, **asked)  # type: ignore[arg-type]  # the rest of its own options
    address = job_address(
        lane=request.lane, tenant=link.tenant, adapter=request.adapter, composition=request.composition
    )
    job = build_job(replace(request, deadline_seconds=None), job_id="schedule", now=0.0)
    if len(pack_job(job)) > INLINE_BYTES:
        raise InvalidRequestError(field="prompt", reason=f"a recurring job has at most {INLINE_BYTES} bytes")
    for edge in ("start", "end"):
        if when.get(edge) is not None:
            when[edge] = _edge(edge, when[edge])
    try:
        made = Schedule.model_validate(
            {
                "name": name,
                "tenant": link.tenant,
                "cron": cron,
                "lane": address.lane,
                "adapter": address.adapter,
                "job": job,
                "deadline_seconds": request.deadline_seconds,
                **when,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidRequestError(field=field, reason=first["msg"]) from error
    _check_times(made)
    return made


def _edge(field: str, at: object) -> float:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise InvalidRequestError(field=field, reason="the datetime has no time zone")
        return at.timestamp()
    if isinstance(at, bool) or not isinstance(at, int | float):
        reason = "a datetime with a time zone, or unix seconds are needed"
        raise InvalidRequestError(field=field, reason=reason)
    return float(at)


def _check_times(plan: Schedule) -> None:
    """Whether it is ever due, and each occurrence before the next."""
    try:
        coming = upcoming(plan, time.time(), UPCOMING)
    except CalendarError as error:
        raise InvalidRequestError(field=error.field, reason=error.reason) from error
    if not coming:
        field = "cron" if plan.end is None else "end"
        raise InvalidRequestError(field=field, reason="it is never due from now on")
    if plan.start is not None and plan.start - time.time() > MOST_SECONDS:
        raise InvalidRequestError(field="start", reason="it is more than 366 days from now")
    gaps = [after - before for before, after in pairwise(coming)]
    if gaps and plan.jitter_seconds >= min(gaps):
        reason = f"occurrences are {min(gaps):.0f} s apart: less than that is needed"
        raise InvalidRequestError(field="jitter_seconds", reason=reason)
