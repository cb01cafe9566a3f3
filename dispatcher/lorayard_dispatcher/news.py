"""What workers tell of themselves: taken into the fleet's view, and what follows from a death."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

import structlog

from lorayard_dispatcher.advert_reading import AdvertReader
from lorayard_dispatcher.departures import Departures
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.interruptions import Interruptions, Noted
from lorayard_dispatcher.keeping import Keeping
from lorayard_dispatcher.orders import Orders
from lorayard_dispatcher.setbacks import Setbacks
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.heard import Heard
from lorayard_shared.logs import Event


class News:
    """Adverts and load reports."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        orders: Orders,
        keeping: Keeping,
        interruptions: Interruptions,
        setbacks: Setbacks,
        departures: Departures,
        spawn: Callable[..., object],
        on_advert: Callable[[], None],
        on_load: Callable[[], None],
        answer: Callable[[str], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`on_advert` and `on_load` are called when one was taken; `answer` says on a subject that it was."""
        self.adverts = AdvertReader()
        self._fleet = fleet
        self._orders = orders
        self._keeping = keeping
        self._interruptions = interruptions
        self._setbacks = setbacks
        self._departures = departures
        self._spawn = spawn
        self._on_advert = on_advert
        self._on_load = on_load
        self._answer = answer
        self._log = log

    def advert(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of workers."""
        if value is None:
            self._gone(key, time.monotonic())
            return
        advert = self.adverts.read(key, value)
        if advert is None:
            return
        if advert.worker not in self._fleet:
            self._log.info(Event.WORKER_APPEARED, worker=advert.worker, epoch=advert.epoch)
            self._keeping.look_soon()
        self._hear(advert)
        self._orders.on_advert(advert)
        self._on_advert()
        self._tell_contradicted()

    def _hear(self, advert: WorkerAdvert) -> None:
        worker, holding = advert.worker, frozenset[str]()
        differs = worker in self._fleet and self._fleet.epoch(worker) != advert.epoch
        if differs:
            holding = self._fleet.keys_at(worker)
        left = self._fleet.on_advert(advert, time.monotonic())
        if differs and self._fleet.epoch(worker) == advert.epoch:
            self._interrupted(worker, left, holding)

    def _tell_contradicted(self) -> None:
        for worker in self._fleet.contradicted():
            self._log.warning(
                Event.WORKER_CONTRADICTED,
                worker=worker,
                reason="what was last believed of it was not renewed, and it tells an older life or number: "
                "somebody else wrote under its name, or two were started under it",
            )

    def _gone(self, key: str, now: float) -> None:
        self._keeping.look_soon()
        self.adverts.forget(key)
        self._orders.on_death(key)
        if self._fleet.is_draining(key):
            self._log.info(Event.WORKER_LEFT, worker=key)
            self._give_back(self._fleet.on_death(key, now))
        elif key in self._fleet:
            self._log.warning(Event.WORKER_DIED, worker=key)
            holding = self._fleet.keys_at(key)
            self._interrupted(key, self._fleet.on_death(key, now), holding)

    def load(self, message: Heard) -> None:
        """A worker finished something."""
        try:
            load = decode(WorkerLoad, message.data)
        except MalformedMessageError as error:
            self._log.error(Event.MESSAGE_MALFORMED, subject=message.subject, reason=error.reason)
            return
        self._fleet.on_load(load, time.monotonic())
        if load.given_back:
            self._setbacks.given_back(load.worker, load.given_back)
        if message.reply:
            self._answer(message.reply)  # its jobs come back only when this was heard
        self._on_load()

    def _interrupted(self, worker: str, jobs: Sequence[HeldJob], holding: Collection[str]) -> None:
        """A worker died with these jobs, and with others that it held."""
        noted = self._interruptions.died(worker, jobs, holding)
        if jobs:
            self._spawn(self._note_and_return(noted, jobs), "return-leases")

    async def _note_and_return(self, noted: Sequence[Noted], jobs: Sequence[HeldJob]) -> None:
        """First the count, or whoever gets them next would not know of it."""
        await self._interruptions.write(noted)
        await self._return(jobs)

    def _give_back(self, jobs: Sequence[HeldJob]) -> None:
        if jobs:
            self._spawn(self._return(jobs), "return-leases")

    async def _return(self, jobs: Sequence[HeldJob]) -> None:
        """NAK the leases of a worker that is gone: its jobs need not wait for `ack_wait`."""
        self._log.warning(Event.LEASES_RETURNED, jobs=len(jobs))
        await self._departures.nak(job.lease for job in jobs)
