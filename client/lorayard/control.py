"""`client.control`: pause, resume, drain and cap lanes, tenants, adapters and workers at run time (E5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lorayard.answering import Answering
from lorayard.errors import DrainTimeoutError, InvalidRequestError
from lorayard.yard_view import list_workers
from lorayard_schemas.control import MOST_AT_ONCE, Cap, Controlled, Pause, check_name, thing_of
from lorayard_shared.registry.control_store import ControlStore

if TYPE_CHECKING:
    from lorayard.link import Link
    from lorayard_schemas.advert import WorkerAdvert
    from lorayard_shared.registry.records import Author

LOOK_SECONDS = 0.25
"""Between two looks whether something is empty: workers tell each second, and at every change."""

QUIET_SECONDS = 1.0
"""Something is empty once it has been so for this long: a dispatcher may have given a job away in the moment
before it heard of the pause, and the worker hands it straight back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What somebody has paused and capped, the longest first."""

    pauses: tuple[Pause, ...]
    caps: tuple[Cap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Jobs of something that is drained, at workers."""

    jobs: dict[str, int]
    """By worker, those without any left out."""
    unheard: tuple[str, ...] = ()
    """Workers that have not said yet that they know of it."""

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(self.jobs.values())

    @property
    def empty(self) -> bool:
        """Whether nothing of it runs, as far as anybody says."""
        return not self.jobs and not self.unheard


class Control:
    """Pauses and caps of one yard. Jobs of what is paused are taken and wait; what runs goes on.

    `kind` is `lane`, `tenant`, `adapter` (a name, a `name@version`, or `base`) or `worker`. Every method
    raises InvalidRequestError where no such thing can be, ContendedError where others change it all the time,
    and YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def list(self) -> Controls:
        """What is paused and capped now."""
        link = self._open_link()
        async with Answering(link):
            store = ControlStore(link.bus)
            pauses, caps = await store.pauses(await link.delayed.now()), await store.caps()
        return Controls(pauses=tuple(pauses), caps=tuple(caps))

    async def pause(
        self, kind: Controlled | str, name: str, *, reason: str, for_seconds: float | None = None
    ) -> Pause:
        """Let nothing of it start, until it is resumed or `for_seconds` are over.

        What is paused already gets the newer end and reason.
        """
        return await self._pause(kind, name, reason, for_seconds, drain=False)

    async def resume(self, kind: Controlled | str, name: str, *, reason: str = "") -> Pause:
        """Let jobs start again, of just what was paused or drained; returns what it was.

        Raises:
            PauseUnknownError: just this was not paused.
        """
        checked, link = _checked(kind, name), self._open_link()
        async with Answering(link):
            store = ControlStore(link.bus)
            now = await link.delayed.now()
            return await store.resume(checked, name, link.author(reason), now=now)

    async def drain(
        self,
        kind: Controlled | str,
        name: str,
        *,
        reason: str,
        timeout_seconds: float | None = None,
        on_progress: Callable[[Running], None] | None = None,
    ) -> None:
        """Pause it, and return once nothing of it runs; it stays paused until it is resumed.

        What has not begun is handed back at once. `on_progress` hears how much still runs.

        Raises:
            DrainTimeoutError: something of it still runs after `timeout_seconds`; it stays paused.
        """
        await self.begin_drain(kind, name, reason=reason)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._until_empty(_checked(kind, name), name, on_progress)
        except TimeoutError as error:
            running = await self.running(kind, name)
            raise DrainTimeoutError(
                kind=str(kind), name=name, seconds=timeout_seconds or 0.0, jobs=running.total
            ) from error

    async def begin_drain(self, kind: Controlled | str, name: str, *, reason: str) -> Pause:
        """Pause it for maintenance, and do not wait; `running` tells how much is left."""
        return await self._pause(kind, name, reason, None, drain=True)

    async def running(self, kind: Controlled | str, name: str) -> Running:
        """Jobs at workers of something that is paused or capped; workers count nothing else."""
        checked = _checked(kind, name)
        adverts = await list_workers(self._open_link())
        return _running(adverts, checked, name)

    async def cap(self, kind: Controlled | str, name: str, most: int, *, reason: str) -> Cap:
        """Have at most so many jobs of it at workers at once; a worker takes so many.

        One worker never takes more than it has rows for. What runs beyond a new cap goes on.
        """
        checked, link = _checked(kind, name), self._open_link()
        if not 1 <= most <= MOST_AT_ONCE:
            raise InvalidRequestError(
                field="most", reason=f"between 1 and {MOST_AT_ONCE}; to start none, pause it"
            )
        author = _author(link, reason)
        cap = Cap(kind=checked, name=name, most=most, why=reason, by=author.actor, at=time.time())
        async with Answering(link):
            await ControlStore(link.bus).cap(cap, author)
        return cap

    async def uncap(self, kind: Controlled | str, name: str, *, reason: str = "") -> None:
        """Take just this cap away.

        Raises:
            PauseUnknownError: just this was not capped.
        """
        checked, link = _checked(kind, name), self._open_link()
        async with Answering(link):
            await ControlStore(link.bus).uncap(checked, name, link.author(reason))

    async def _pause(
        self, kind: Controlled | str, name: str, reason: str, for_seconds: float | None, *, drain: bool
    ) -> Pause:
        checked, link = _checked(kind, name), self._open_link()
        author = _author(link, reason)
        if for_seconds is not None and not for_seconds > 0:
            raise InvalidRequestError(field="for_seconds", reason="must be more than 0")
        async with Answering(link):
            now = await link.delayed.now()  # dispatchers end it, by a clock that is the yard's
        until = None if for_seconds is None else now + for_seconds
        try:
            pause = Pause(
                kind=checked, name=name, why=reason, by=author.actor, at=now, until=until, drain=drain
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = {"why": "reason", "until": "for_seconds"}.get(str(first["loc"][0]), "reason")
            raise InvalidRequestError(field=field, reason=str(first["msg"])) from error
        async with Answering(link):
            await ControlStore(link.bus).pause(pause, author)
        return pause

    async def _until_empty(
        self, kind: Controlled, name: str, on_progress: Callable[[Running], None] | None
    ) -> None:
        link, empty_since = self._open_link(), None
        while True:
            running = _running(await list_workers(link), kind, name)
            if on_progress is not None:
                on_progress(running)
            now = time.monotonic()
            empty_since = (empty_since or now) if running.empty else None
            if empty_since is not None and now - empty_since >= QUIET_SECONDS:
                return
            await asyncio.sleep(LOOK_SECONDS)


def _running(adverts: list[WorkerAdvert], kind: Controlled, name: str) -> Running:
    if kind is Controlled.WORKER:
        meant = [advert for advert in adverts if advert.worker == name]
        jobs = {advert.worker: len(advert.load.holding) for advert in meant}
        unheard = [advert.worker for advert in meant if not (advert.load.paused or advert.load.draining)]
    else:
        thing = thing_of(kind, name)
        jobs = {advert.worker: advert.load.counted.get(thing, 0) for advert in adverts}
        unheard = [advert.worker for advert in adverts if thing not in advert.load.counted]
    return Running(jobs={worker: count for worker, count in jobs.items() if count}, unheard=tuple(unheard))


def _checked(kind: Controlled | str, name: str) -> Controlled:
    try:
        checked = Controlled(kind)
    except ValueError as error:
        raise InvalidRequestError(field="kind", reason=f"one of {', '.join(Controlled)}") from error
    try:
        check_name(checked, name)
    except ValueError as error:
        raise InvalidRequestError(field="name", reason=str(error)) from error
    return checked


def _author(link: Link, reason: str) -> Author:
    if not reason:
        raise InvalidRequestError(field="reason", reason="say why: whoever asks why a job waits is told")
    return link.author(reason)
