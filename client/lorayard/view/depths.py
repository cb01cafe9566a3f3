"""How much waits where, counted by the server, and since when the oldest does."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

import nats.errors

from lorayard.view.bucket_copy import STREAM_NOT_FOUND
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import BadSubjectError, JobAddress
from lorayard_shared.bus.connection import ApiError, Bus, JsonMap
from lorayard_shared.bus.losses import asked_again
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.value import value

MOST_AGES = 48
"""Queues whose oldest job is asked for at one look: each answer carries a whole job."""

AT_ONCE = 16
AGE_SECONDS = 2.0
"""For one answer; it takes a millisecond."""


@value
class Depth:
    """Jobs without a result, at one moment."""

    jobs: dict[JobAddress, int]
    """By lane, tenant and adapter: those at workers too."""
    delayed: int
    ended: int | None
    """Results stored since the stream was made; None: it cannot be told."""
    dead: int
    server_now: float
    """Unix seconds."""
    missing: tuple[str, ...] = ()
    """Streams that are not there."""

    @property
    def unfinished(self) -> int:
        """All that may run."""
        return sum(self.jobs.values())


async def read_depth(bus: Bus) -> Depth:
    """As the streams say.

    Raises:
        ApiError: the server refused.
        nats.errors.Error: no answer.
    """
    subjects = bus.subjects
    jobs, delayed, results, dead = await asyncio.gather(
        _counted(bus, "jobs", subjects.jobs),
        _counted(bus, "delayed", subjects.due),
        _counted(bus, "results", None),
        _counted(bus, "dead", None),
    )
    waiting: Counter[JobAddress] = Counter()
    due = 0
    for of, counted in (("jobs", jobs), ("due", delayed)):
        for subject, count in (counted.subjects if counted is not None else {}).items():
            due += count if of == "due" else 0
            with suppress(BadSubjectError):  # no job of anybody: whoever takes it from the stream says so
                waiting[subjects.parse_job(subject)] += count
    told = {"jobs": jobs, "delayed": delayed, "results": results, "dead": dead}
    return Depth(
        jobs=dict(waiting),
        delayed=max(0, delayed.messages - due) if delayed is not None else 0,
        ended=results.last_sequence if results is not None else None,
        dead=dead.messages if dead is not None else 0,
        server_now=max((one.at for one in told.values() if one is not None), default=0.0),
        missing=tuple(subjects.stream(kind) for kind, one in told.items() if one is None),
    )


@value
class _Counted:
    subjects: dict[str, int]
    messages: int
    last_sequence: int
    at: float


async def _counted(bus: Bus, kind: str, subject: str | None) -> _Counted | None:
    stream = bus.subjects.stream(kind)
    counts: dict[str, int] = {}
    while True:
        body: JsonMap = {} if subject is None else {"subjects_filter": subject, "offset": len(counts)}
        try:
            info = await asked_again(bus, lambda body=body: bus.api(f"STREAM.INFO.{stream}", body))  # type: ignore[misc]
        except ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            return None
        state = info["state"]
        page: dict[str, int] = state.get("subjects") or {}
        counts.update(page)
        # The server pages at 100,000 subjects.
        if subject is None or not page or len(counts) >= int(info.get("total", 0)):
            return _Counted(
                subjects=counts,
                messages=int(state["messages"]),
                last_sequence=int(state["last_seq"]),
                at=server_seconds(str(info["ts"])),
            )


class Ages:
    """Since when the oldest job of each queue waits; asked for in turns."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.lanes: dict[Lane, float] = {}
        """Unix seconds of a lane's oldest job."""
        self.queues: dict[JobAddress, float] = {}
        self._last: str | None = None

    async def look(self, depth: Depth) -> None:
        """Ask for each lane, and for some queues of those that there are.

        Raises:
            nats.errors.Error: no answer.
        """
        self.queues = {address: at for address, at in self.queues.items() if address in depth.jobs}
        lanes = sorted({address.lane for address in depth.jobs})
        some = self._turn(depth.jobs)
        subjects = [self._lane(lane) for lane in lanes] + [self._queue(address) for address in some]
        found = await self._ask(subjects, depth.server_now)
        self.lanes = {lane: at for lane, at in zip(lanes, found[: len(lanes)], strict=True) if at is not None}
        for address, at in zip(some, found[len(lanes) :], strict=True):
            if at is None:
                self.queues.pop(address, None)
            else:
                self.queues[address] = at

    def _turn(self, jobs: Iterable[JobAddress]) -> list[JobAddress]:
        """So many, beginning behind the one that was the last before."""
        order = sorted(jobs, key=_place)
        last = self._last
        start = 0 if last is None else sum(_place(address) <= last for address in order)
        some = (order[start:] + order[:start])[:MOST_AGES]
        self._last = _place(some[-1]) if len(some) < len(order) else None
        return some

    async def _ask(self, subjects: Sequence[str], now: float) -> list[float | None]:
        """None: no answer."""
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(subject: str) -> float | None:
            async with room:
                with suppress(nats.errors.NoRespondersError):
                    # Jobs that are tried again lie elsewhere; where neither has any, it is empty by now.
                    return (
                        await self._first("jobs", subject)
                        or await self._first("delayed", self._bus.subjects.due_of(subject))
                        or now
                    )
            return None

        return await asyncio.gather(*(ask(subject) for subject in subjects))

    async def _first(self, kind: str, subject: str) -> float | None:
        """When the oldest message there was stored, unix seconds; None: there is none."""
        body = json.dumps({"seq": 1, "next_by_subj": subject}).encode()
        stream = self._bus.subjects.stream(kind)
        reply = await self._bus.nc.request(f"$JS.API.DIRECT.GET.{stream}", body, timeout=AGE_SECONDS)
        at = (reply.headers or {}).get("Nats-Time-Stamp")
        return server_seconds(at) if at is not None else None

    def _lane(self, lane: Lane) -> str:
        return f"{self._bus.settings.prefix}.jobs.{lane}.>"

    def _queue(self, address: JobAddress) -> str:
        behind = ".*" if self._bus.settings.partitions > 1 else ""
        return self._bus.subjects.job(address) + behind


def _place(address: JobAddress) -> str:
    return f"{address.lane} {address.tenant} {address.adapter or ''}"
