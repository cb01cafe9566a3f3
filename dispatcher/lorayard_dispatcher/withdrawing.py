"""Jobs at workers that have not begun follow what has changed, too: they are asked back (D4).

Those that went out from here are known by key. Of what others have given out, or this dispatcher before it
was started anew, the worker itself knows which alias led it where, so it is told what aliases lead to now.
What has begun runs on; a word that a worker does not get is said again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence

import nats.errors
import structlog

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.give_back import GIVE_BACK, MAX_KEYS, MAX_LEADS, GiveBack, GiveBackReply, lead_of
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event

ANSWER_SECONDS = 2.0
"""A worker's loop never blocks; one that is silent for longer has other troubles."""

AGAIN_SECONDS = 0.5
TRY_SECONDS = 60.0
"""A worker cut off for longer counts as dead long before, and what it held is given out anew."""

MOST_DEAF = 5
"""Times in a row that nobody listens at a worker that beats: longer than it still counts as heard after its
last beat, so it is no worker cut off. It is of a version that gives nothing back."""

Spawn = Callable[[Coroutine[object, object, object], str], None]


class Withdrawing:
    """One dispatcher's requests for jobs to come back."""

    def __init__(self, bus: Bus, fleet: Fleet, spawn: Spawn, *, is_active: Callable[[], bool]) -> None:
        """`is_active`: whether what is given out is this dispatcher's to decide on."""
        self._bus = bus
        self._fleet = fleet
        self._spawn = spawn
        self._is_active = is_active
        self._log = structlog.get_logger()

    def follow(self, leaves: Callable[[ParkedJob], bool], alias: AliasRecord | None = None) -> None:
        """Something has changed, an alias maybe: ask back all that would go another way now."""
        if not self._is_active():
            return
        keys: dict[str, list[str]] = {}
        for worker, held in self._fleet.handed():
            if held.parked is not None and leaves(held.parked):
                keys.setdefault(worker, []).append(held.key)
        leads = () if alias is None else (lead_of(alias),)
        for worker in self._fleet.holders() if leads else keys:
            if leads:
                self._send(worker, GiveBack(aliases=leads))
            self.ask_back(worker, keys.get(worker, ()))

    def ask_back(self, worker: str, keys: Sequence[str]) -> None:
        """These jobs go another way now."""
        for start in range(0, len(keys), MAX_KEYS):
            self._send(worker, GiveBack(keys=tuple(keys[start : start + MAX_KEYS])))

    def tell_all(self, aliases: Iterable[AliasRecord]) -> None:
        """What is given out is ours to decide on from now on: some may have changed while it was nobody's."""
        leads = [lead_of(record) for record in aliases]
        for worker in self._fleet.holders() if leads else ():
            for start in range(0, len(leads), MAX_LEADS):
                self._send(worker, GiveBack(aliases=tuple(leads[start : start + MAX_LEADS])))

    def _send(self, worker: str, order: GiveBack) -> None:
        self._spawn(self._insist(worker, order), f"give-back-{worker}")

    async def _insist(self, worker: str, order: GiveBack) -> None:
        until, deaf = time.monotonic() + TRY_SECONDS, 0
        while worker in self._fleet:  # else its jobs come back anyway
            try:
                asked = await self._request(worker, order)
            except (nats.errors.Error, MalformedMessageError) as error:
                now = time.monotonic()
                nobody = isinstance(error, nats.errors.NoRespondersError)
                deaf = deaf + 1 if nobody and self._fleet.is_heard(worker, now) else 0
                if now >= until or deaf >= MOST_DEAF:
                    reason = str(error) or type(error).__name__
                    self._log.warning(Event.JOBS_NOT_WITHDRAWN, worker=worker, reason=reason)
                    return
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                if asked:
                    self._log.info(Event.JOBS_WITHDRAWN, worker=worker, jobs=asked)
                return

    async def _request(self, worker: str, order: GiveBack) -> int:
        subject = self._bus.subjects.control(worker, GIVE_BACK)
        reply = await self._bus.nc.request(subject, encode(order), timeout=ANSWER_SECONDS)
        return decode(GiveBackReply, reply.data).asked
