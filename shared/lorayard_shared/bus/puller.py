"""Standing pulls on a consumer with a priority group, re-issued for ever.

nats-py's `fetch` knows no priority groups, and a pull it has sent is lost with the server; so this speaks the
pull protocol itself (ADR-37 pulls, ADR-42 groups). Every pull has an expiry and idle heartbeats: a dispatcher
that hangs stops stealing deliveries after `EXPIRES_SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.subscription import Subscription

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.hearing import HEARTBEAT_SECONDS, PullHearing
from lorayard_shared.logs import Event, process_logger

EXPIRES_SECONDS = 1.5
BACKOFF_SECONDS = 0.25
"""After an error answer: on a cluster without a leader they come back in a hot loop."""

END_SECONDS = 1.0
"""For a round trip with a server that may be away."""

PIN_HEADER = "Nats-Pin-Id"
BATCH_MAX = 512
_NANOSECONDS = 1_000_000_000

_SERVED = frozenset({None, "100", "400", "404", "408", "423"})
"""Statuses of a consumer that is there; others say that it, its stream or its leader is not."""


@dataclass(slots=True)
class _Pull:
    """The pull in flight."""

    number: int
    left: int
    over: asyncio.Event


class Puller:
    """Pulls from one consumer while there is room, and gives each message to a callback.

    `room` is asked before every pull: how many messages may come. When it is 0 the puller waits for `nudge`.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        stream: str,
        consumer: str,
        group: str,
        room: Callable[[], int],
        on_message: Callable[[Heard], None],
        priority: Callable[[], int] | None = None,
    ) -> None:
        """`priority`, 0 first, counts while the consumer serves by priority; None: served as 0, or pinned."""
        self._bus = bus
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._unpin = f"CONSUMER.UNPIN.{stream}.{consumer}"
        self._group = group
        self._room = room
        self._on_message = on_message
        self._priority = priority
        self._pin: str | None = None
        self._pin_line = b""
        """As the server writes it into the headers of every delivery."""
        self._pull: _Pull | None = None
        self._nudged = asyncio.Event()
        self._inbox = bus.nc.new_inbox()
        self._number = 0
        self._log = process_logger(stream=stream, consumer=consumer)
        self.pulls = 0
        self.last_answer = 0.0
        """Loop time of the last sign of life from the server: health is progress, not a process."""
        self._hearing = PullHearing()
        bus.on_reconnect(self._start_over)

    @property
    def deaf(self) -> bool:
        """Whether it asks for messages, and nothing says that the server has its pull."""
        return self._hearing.deaf(asyncio.get_running_loop().time())

    def nudge(self) -> None:
        """There is room again."""
        self._nudged.set()

    async def run(self) -> None:
        """Pull until cancelled."""
        self._inbox = self._bus.nc.new_inbox()  # what is left of an earlier run must not answer this one
        subscription: Subscription = await self._bus.nc.hear(f"{self._inbox}.*", self._receive)
        try:
            while True:
                await self._round()
        finally:
            self._hearing.stops()
            if not self._bus.nc.is_closed:
                await self._end(subscription)

    async def _end(self, subscription: Subscription) -> None:
        """Ends the pull at the server too. What it has given out until then still comes: unheard, it would be
        missing for `ack_wait`."""
        with suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await subscription.drain()  # type: ignore[no-untyped-call]  # nats-py
                return
        with suppress(nats.errors.Error):
            await subscription.unsubscribe()

    async def claim(self) -> None:
        """Before the first pull, by whoever is to have the consumer: its pin of before is void."""
        with suppress(ApiError, nats.errors.Error):  # then it runs out by itself
            await self._bus.api(self._unpin, {"group": self._group})

    async def step_down(self) -> None:
        """After the last pull: let the next of the group have the consumer now, not when the pin runs out."""
        if self._pin is None:
            return
        self._pin = None
        with suppress(ApiError, nats.errors.Error):
            await self._bus.api(self._unpin, {"group": self._group})

    async def _round(self) -> None:
        self._nudged.clear()
        room = min(self._room(), BATCH_MAX)
        self._hearing.asks(asyncio.get_running_loop().time(), room=room > 0)
        if room <= 0:
            # Not wait_for: in Python 3.11 it swallows a cancel that meets the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(EXPIRES_SECONDS):
                    await self._nudged.wait()
            return
        self._number += 1
        pull = _Pull(self._number, room, asyncio.Event())
        self._pull = pull
        try:
            await self._bus.nc.publish(self._next, self._request(room), reply=f"{self._inbox}.{pull.number}")
            self.pulls += 1
            # A lost pull (server restart, dropped status) must not stop us: one heartbeat of grace.
            async with asyncio.timeout(EXPIRES_SECONDS + 2 * HEARTBEAT_SECONDS):
                await pull.over.wait()
        except TimeoutError:
            pass
        except nats.errors.Error as error:
            self._log.debug(Event.BUS_FAILED, error=str(error))
            await asyncio.sleep(BACKOFF_SECONDS)

    def _request(self, batch: int) -> bytes:
        body: dict[str, object] = {
            "batch": batch,
            "expires": int(EXPIRES_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANOSECONDS),
            "group": self._group,
        }
        if self._priority is not None:
            body["priority"] = self._priority()
        elif self._pin:
            body["id"] = self._pin
        return json.dumps(body).encode()

    def _receive(self, message: Heard) -> None:
        self.last_answer = asyncio.get_running_loop().time()
        # A delivery can be acked, a status cannot: the header `Status` alone may be a publisher's own.
        status = None if message.reply else (message.headers or {}).get("Status")
        if status in _SERVED:
            self._hearing.served(self.last_answer)
        if status is None:
            if self._pin is None or not message.mentions(self._pin_line):
                self._see_pin((message.headers or {}).get(PIN_HEADER))
            self._count(message)
            self._on_message(message)
        elif status != "100":
            self._answered(message, status)

    def _see_pin(self, pin: str | None) -> None:
        if pin is not None:
            self._pin = pin
            self._pin_line = f"{PIN_HEADER}: {pin}".encode()

    def _count(self, message: Heard) -> None:
        # A delivery's subject is the job's, so it cannot tell which pull it answers: the current one pays.
        pull = self._pull
        if pull is None:
            return
        pull.left -= 1
        if pull.left <= 0:
            pull.over.set()

    def _answered(self, message: Heard, status: str) -> None:
        if status in ("423", "400"):
            self._pin = None  # another holds the pin, or ours has run out; or pins are not asked for now
        pull = self._pull
        if pull is None or not message.subject.endswith(f".{pull.number}"):
            return
        if status in ("400", "423", "404", "408"):
            pull.over.set()
        else:
            asyncio.get_running_loop().call_later(BACKOFF_SECONDS, pull.over.set)

    async def _start_over(self) -> None:
        self._pin = None
        if self._pull is not None:
            self._pull.over.set()
