"""What a dispatcher does while it holds a seat: it pulls from the consumers of that partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import nats.errors

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.known_worker import STALE_SECONDS
from lorayard_dispatcher.recall import recall, recall_lost
from lorayard_shared.bus.connection import ApiError
from lorayard_shared.bus.delivery import read_ack_subject
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.priority import serve_pinned
from lorayard_shared.bus.puller import BATCH_MAX, Puller
from lorayard_shared.bus.topology import (
    CHECK_DELAYED,
    PIN_GROUP,
    WORKER_TTL_SECONDS,
    ConsumerDeclaration,
    topology,
)
from lorayard_shared.process import end_tasks

POLICY_SECONDS = 5.0
HEARD_SECONDS = STALE_SECONDS + 0.5
"""After the server's return: who counts as heard then has spoken since."""
LOOK_SECONDS = 0.25
STEP_DOWN_SECONDS = 1.0
"""A server that does not answer unpins by itself, after `PIN_SECONDS`."""


class Posts:
    """Starts and ends the pulls of partitions, and says when one of them failed."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._consumers = topology(dispatcher.settings).consumers
        self._pullers: dict[int, list[Puller]] = {}
        self._by_name = {consumer.name: self._puller(consumer) for consumer in self._consumers}
        for consumer in self._consumers:
            self._pullers.setdefault(consumer.partition, []).append(self._by_name[consumer.name])
        dispatcher.on_room += [puller.nudge for pullers in self._pullers.values() for puller in pullers]
        self._pulls: dict[int, list[asyncio.Task[None]]] = {}
        self._connected_at = asyncio.get_running_loop().time()
        dispatcher.bus.on_reconnect(self._reconnected)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def deaf(self) -> list[str]:
        """Consumers that are asked for jobs, and say nothing."""
        return [
            consumer.name
            for consumer in self._consumers
            if consumer.partition in self._pulls and self._by_name[consumer.name].deaf
        ]

    async def watch(self) -> None:
        """Wait for the failure of a pull: a process that lost one must not look alive while it is deaf.

        Meanwhile see to it that the consumers serve one dispatcher: a worker that heard of us too late may
        have opened them to all.
        """
        while not self._failed.done():
            for partition in list(self._pulls):
                await self._serve_pinned(partition)
            await asyncio.wait([self._failed], timeout=POLICY_SECONDS)
        self._failed.result()

    async def take_up(self, partition: int) -> None:
        """Pull what belongs to the partition, at once: whoever is pinned holds the seat no more."""
        await self._claim(partition)
        await self._dispatcher.limits.take_up()
        self._dispatcher.tell_aliases()
        self._pull(partition)

    async def take_over(self, partition: int) -> None:
        """The same; what one that fell silent has left parked is given out anew."""
        await self._claim(partition)
        await self._recall(partition)
        await self._dispatcher.limits.take_up()
        self._dispatcher.tell_aliases()
        self._pull(partition)

    async def _claim(self, partition: int) -> None:
        await self._serve_pinned(partition)
        await asyncio.gather(*(puller.claim() for puller in self._pullers[partition]))

    def _pull(self, partition: int) -> None:
        pullers = self._pullers[partition]
        self._pulls[partition] = [asyncio.create_task(puller.run(), name="pulls") for puller in pullers]
        for pull in self._pulls[partition]:
            pull.add_done_callback(self._ended)

    async def lay_down(self, partition: int) -> None:
        """Pull no more, hand back what is parked, and let the next one pull."""
        await self._end_pulls(partition)
        await self._dispatcher.departures.hand_back(self._names(partition))
        await self._step_down(partition)

    async def abandon(self, partition: int) -> None:
        """Forget what is parked: it was given out again, and a word on its leases would hit the new ones."""
        await self._end_pulls(partition)
        self._dispatcher.departures.forget(self._names(partition))

    async def end(self) -> None:
        """The process stops: nothing more comes in."""
        for partition in list(self._pulls):
            await self._end_pulls(partition)

    async def step_down(self) -> None:
        """Everything parked has been handed back: the next one may pull."""
        for partition in self._pullers:
            await self._step_down(partition)

    async def _serve_pinned(self, partition: int) -> None:
        for consumer in self._consumers:
            if consumer.partition == partition:
                # Where it fails, we are served first by priority until the next look.
                with suppress(ApiError, nats.errors.Error):
                    await serve_pinned(self._dispatcher.bus, consumer)

    async def _recall(self, partition: int) -> None:
        """Have given out anew what the one before has left parked, if it is known what workers hold."""
        loop, dispatcher = asyncio.get_running_loop(), self._dispatcher
        held = dispatcher.fleet.holdings(time.monotonic())
        # Else a worker may hold jobs whose advert ran out while the bus was away, or is not read yet.
        if held is None or loop.time() - self._connected_at < WORKER_TTL_SECONDS:
            return
        for consumer in self._consumers:
            if consumer.partition == partition and consumer.name != CHECK_DELAYED:
                with suppress(ApiError, nats.errors.Error):  # then leases run out by themselves
                    await recall(dispatcher.bus, consumer, held)

    async def _reconnected(self) -> None:
        self._connected_at = asyncio.get_running_loop().time()
        self._dispatcher.spawn(self._recall_lost(self._connected_at), "recall-lost")

    async def _recall_lost(self, since: float) -> None:
        """What the server gave out as it died never came here, and nobody has its lease."""
        loop, dispatcher = asyncio.get_running_loop(), self._dispatcher
        while self._held() is None or loop.time() - since < HEARD_SECONDS:
            if self._connected_at != since or loop.time() - since > dispatcher.settings.ack_wait_seconds:
                return  # it has gone again; or leases have run out by themselves
            await asyncio.sleep(LOOK_SECONDS)
        for consumer in self._consumers:
            if consumer.partition in self._pulls and consumer.name != CHECK_DELAYED:
                with suppress(ApiError, nats.errors.Error):  # then leases run out by themselves
                    await recall_lost(dispatcher.bus, consumer, self._held)

    def _held(self) -> frozenset[str] | None:
        """The keys of all jobs that somebody has; None: a worker was not heard just now."""
        dispatcher = self._dispatcher
        at_workers = dispatcher.fleet.holdings(time.monotonic())
        if at_workers is None or not dispatcher.is_active():
            return None
        given = {job.key for _, job in dispatcher.fleet.handed()}
        return at_workers.union(given, (read_ack_subject(lease).key for lease in dispatcher.leases.held()))

    def _names(self, partition: int) -> frozenset[str]:
        return frozenset(one.name for one in self._consumers if one.partition == partition)

    async def _step_down(self, partition: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STEP_DOWN_SECONDS):
                await asyncio.gather(*(puller.step_down() for puller in self._pullers[partition]))

    async def _end_pulls(self, partition: int) -> None:
        pulls = self._pulls.pop(partition, [])
        for pull in pulls:
            pull.remove_done_callback(self._ended)
        await end_tasks(pulls)

    def _ended(self, pull: asyncio.Task[None]) -> None:
        if self._failed.done():
            return
        error = None if pull.cancelled() else pull.exception()
        if error is not None:
            self._failed.set_exception(error)
        else:
            self._failed.set_result(None)

    def _puller(self, consumer: ConsumerDeclaration) -> Puller:
        dispatcher = self._dispatcher
        return Puller(
            dispatcher.bus,
            stream=consumer.stream,
            consumer=consumer.name,
            group=PIN_GROUP,
            room=self._room(consumer),
            on_message=self._reader(consumer),
        )

    def _reader(self, consumer: ConsumerDeclaration) -> Callable[[Heard], None]:
        if consumer.name == CHECK_DELAYED:
            return self._dispatcher.delayed.on_message
        return self._dispatcher.on_message if consumer.lane is not None else self._dispatcher.on_due

    def _room(self, consumer: ConsumerDeclaration) -> Callable[[], int]:
        if consumer.name == CHECK_DELAYED:
            return lambda: BATCH_MAX  # they are looked at, not held
        if consumer.lane is None:
            return self._dispatcher.room_due
        return partial(self._dispatcher.room, consumer.lane)
