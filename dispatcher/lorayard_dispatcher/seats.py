"""Which dispatcher is active for which partition: seats in the bucket `yard_dispatchers`.

A seat is a key with a short time to live that only its holder renews, each write bound to the revision of the
one before (compare and set), so the server decides who gets it, and takes it from whoever is dead or hangs.
Pins alone would not do: the server pins each lane's consumer by itself, to whoever pulled first, and tells so
only with the first message (measured, 2.15), so the lanes of one partition would go to different dispatchers.
The pin stays as the fence below: two that believe in one seat are still not served both.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas import headers
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message
from lorayard_schemas.seat import (
    DISPATCHER_KEY,
    SEAT_KEY,
    DispatcherAdvert,
    SeatHolder,
    dispatcher_key,
    seat_key,
)
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.topology import DISPATCHER_SILENT_SECONDS, DISPATCHER_TTL_SECONDS
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks, run_until

M = TypeVar("M", bound=Message)

BEAT_SECONDS = 1.0
"""Two beats may be lost before a seat is."""
PUBLISH_SECONDS = 1.0
LEAVE_SECONDS = 1.0

_TTL = {headers.TTL: str(DISPATCHER_TTL_SECONDS)}
_DELETED = "KV-Operation"
_MARKED = "Nats-Marker-Reason"
_DELETE = {**_TTL, _DELETED: "DEL"}
"""With a time to live: names are made up anew for every start, and what is left of them has to go."""
_WRONG_LAST_SEQUENCE = 10071


class Post(Protocol):
    """What holding a seat means."""

    async def take_up(self, partition: int) -> None:
        """The seat is ours: pull."""
        ...

    async def take_over(self, partition: int) -> None:
        """The same, from one that fell silent: what it had parked is to be given out anew."""
        ...

    async def lay_down(self, partition: int) -> None:
        """Another shall have it: pull no more, and hand back what is parked."""
        ...

    async def abandon(self, partition: int) -> None:
        """Another has it: forget what is parked, of which it has newer deliveries."""
        ...


def seats_of(dispatcher: str, partitions: int, living: Collection[DispatcherAdvert]) -> frozenset[int]:
    """The seats that one dispatcher shall have: dealt out in turn, beginning with the one alive for longest.

    So with one partition the oldest is active, and one that is started again does not take over.
    """
    order = sorted(living, key=lambda advert: (advert.started_at, advert.dispatcher))
    names = [advert.dispatcher for advert in order]
    return frozenset(seat for seat in range(partitions) if names and names[seat % len(names)] == dispatcher)


@dataclass(slots=True)
class _Held:
    """A seat of ours."""

    revision: int
    until: float
    """Monotonic seconds: from then on another may have it."""
    since: float
    """Unix seconds."""


class Seats:
    """One dispatcher's life sign and its seats."""

    def __init__(self, bus: Bus, name: str, *, started_at: float, post: Post) -> None:
        self._bus = bus
        self._name = name
        self._started_at = started_at
        self._post = post
        self._partitions = bus.settings.partitions
        self._stream = f"KV_{bus.subjects.bucket('dispatchers')}"
        self._prefix = f"$KV.{bus.subjects.bucket('dispatchers')}."
        self._held: dict[int, _Held] = {}
        self._living: dict[str, DispatcherAdvert] = {}
        self._holders: dict[int, SeatHolder] = {}
        self._refused: dict[int, tuple[int, float]] = {}
        """Seats that another has: the revision, and when it was first seen, monotonic seconds."""
        self._due = asyncio.Event()
        self._watch = BucketWatch(
            bus,
            bus.subjects.bucket("dispatchers"),
            self._on_change,
            gone_grace_seconds=DISPATCHER_TTL_SECONDS,
            renewed_seconds=DISPATCHER_SILENT_SECONDS,
        )
        self._log = structlog.get_logger().bind(dispatcher=name)
        bus.on_reconnect(self._soon)

    @property
    def held(self) -> tuple[int, ...]:
        """The partitions that this dispatcher is active for."""
        return tuple(sorted(self._held))

    @property
    def holders(self) -> Mapping[int, SeatHolder]:
        """Who is active for which, as far as is known here."""
        return self._holders

    @property
    def living(self) -> tuple[str, ...]:
        """Every dispatcher that lives, as far as is known here."""
        return tuple(sorted({self._name, *(advert.dispatcher for advert in self._living.values())}))

    def sure(self) -> bool:
        """Whether none of the seats held may have gone to another meanwhile.

        A process that was stopped and goes on finds its parked jobs given out again: it must ask first.
        """
        now = time.monotonic()
        return all(now < held.until for held in self._held.values())

    async def run(self) -> None:
        """Beat, and take and lose seats, until cancelled. A failure of any part of it is its own."""
        parts = {"watch-dispatchers": self._watch.run(), "seats-beat": self._beats()}
        running = [asyncio.create_task(part, name=name) for name, part in parts.items()]
        try:
            await run_until(asyncio.Event(), running)
        finally:
            await end_tasks(running)

    async def _beats(self) -> None:
        await self._watch.ready.wait()
        while True:
            self._due.clear()
            await self._tick()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._due.wait()

    async def leave(self) -> None:
        """Take everything down at once, instead of letting it run out; what was parked is back by now."""
        with suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                for partition, held in list(self._held.items()):
                    await self._vacate(partition, held)
                await self._bus.nc.publish(
                    f"{self._prefix}{dispatcher_key(self._name)}", b"", headers=dict(_DELETE)
                )
        self._held.clear()

    # ---- what is known

    def _on_change(self, key: str, value: bytes | None) -> None:
        if key.startswith(SEAT_KEY):
            self._on_seat(key, value)
        elif key.startswith(DISPATCHER_KEY):
            advert = _read(DispatcherAdvert, value)
            if advert is None:
                self._living.pop(key, None)
                self._due.set()
            else:
                self._living[key] = advert

    def _on_seat(self, key: str, value: bytes | None) -> None:
        number = key.removeprefix(SEAT_KEY)
        if not number.isdecimal():
            return
        holder = _read(SeatHolder, value)
        if holder is None:
            self._holders.pop(int(number), None)
            self._due.set()  # vacant: whoever shall have it need not wait for its beat
        else:
            self._holders[int(number)] = holder

    async def _soon(self) -> None:
        self._due.set()

    @property
    def _advert(self) -> DispatcherAdvert:
        return DispatcherAdvert(
            dispatcher=self._name,
            started_at=self._started_at,
            seats=self.held,
            default_adapter=self._bus.settings.default_adapter,
            pid=os.getpid(),
        )

    # ---- what is done

    async def _tick(self) -> None:
        if not self._bus.connected:
            return
        try:
            await self._beat()
            ours = seats_of(self._name, self._partitions, [*self._others(), self._advert])
            for partition in self.held:
                await self._renew(partition)
            for partition in sorted(ours - self._held.keys() - self._taken()):
                await self._take(partition)
            for partition in sorted(self._held.keys() - ours):
                await self._give(partition)
        except nats.js.errors.NoStreamResponseError:
            self._watch.look_again()  # the bucket is gone: it is declared again there
        except (nats.errors.Error, nats.js.errors.Error) as error:
            # The next beat tries again; until then `sure` says how long the seats are good for.
            self._log.debug(Event.BUS_FAILED, error=str(error) or type(error).__name__)

    async def _beat(self) -> None:
        key = f"{self._prefix}{dispatcher_key(self._name)}"
        await self._bus.nc.publish(key, encode(self._advert), headers=dict(_TTL))

    def _taken(self) -> set[int]:
        return {number for number, holder in self._holders.items() if not self._is_ours(holder)}

    def _others(self) -> Iterable[DispatcherAdvert]:
        return (advert for advert in self._living.values() if advert.dispatcher != self._name)

    async def _renew(self, partition: int) -> None:
        held = self._held[partition]
        if await self._write(partition, after=held.revision, since=held.since):
            return
        # Another has it, or the answer to our own last write was lost, or it ran out.
        holder, revision = await self._look(partition)
        if (holder is None or self._is_ours(holder)) and await self._write(
            partition, after=revision, since=held.since
        ):
            return
        del self._held[partition]
        self._log.warning(Event.SEAT_LOST, partition=partition, to=holder.dispatcher if holder else None)
        await self._post.abandon(partition)

    async def _take(self, partition: int) -> None:
        holder, revision, left = await self._read_seat(partition)
        if holder is not None and not self._is_ours(holder) and self._is_renewed(partition, revision):
            return
        self._refused.pop(partition, None)
        if await self._write(partition, after=revision, since=time.time()):
            self._log.info(Event.SEAT_TAKEN, partition=partition)
            take = self._post.take_up if left else self._post.take_over
            await self._hold_while(partition, take(partition))
            await self._beat()

    async def _hold_while(self, partition: int, work: Coroutine[object, object, None]) -> None:
        """Do what a seat asks for and go on beating: to recall 100,000 jobs takes as long as a seat lasts."""
        doing = asyncio.create_task(work, name=f"seat-{partition}")
        try:
            while partition in self._held and not (await asyncio.wait([doing], timeout=BEAT_SECONDS))[0]:
                with suppress(nats.errors.Error, nats.js.errors.Error):  # `sure` says how long it is good for
                    await self._beat()
                    for held in self.held:
                        await self._renew(held)
            if partition in self._held:
                doing.result()
                return
        finally:
            await end_tasks([doing])
        await self._post.abandon(partition)  # lost meanwhile: it may have begun to pull

    def _is_renewed(self, partition: int, revision: int) -> bool:
        """Whether the holder of a seat may live: the time to live alone, by the server's clock, does not
        tell."""
        now = time.monotonic()
        if self._refused.get(partition, (-1, 0.0))[0] != revision:
            self._refused[partition] = (revision, now)
        return now - self._refused[partition][1] <= DISPATCHER_SILENT_SECONDS

    async def _give(self, partition: int) -> None:
        try:
            await self._hold_while(partition, self._post.lay_down(partition))
        finally:
            held = self._held.pop(partition, None)  # nothing is pulled any more, whatever the server hears
        if held is not None:
            self._log.info(Event.SEAT_GIVEN, partition=partition)
            await self._vacate(partition, held)

    async def _vacate(self, partition: int, held: _Held) -> None:
        bound = {**_DELETE, headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(held.revision)}
        with suppress(nats.js.errors.APIError):  # not ours any more
            await self._bus.js.publish(
                f"{self._prefix}{seat_key(partition)}", b"", timeout=PUBLISH_SECONDS, headers=bound
            )

    async def _write(self, partition: int, *, after: int, since: float) -> bool:
        """Write the seat over the revision `after`; whether that was the last."""
        asked = time.monotonic()
        holder = SeatHolder(dispatcher=self._name, started_at=self._started_at, since=since)
        bound = {**_TTL, headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(after)}
        try:
            stored = await self._bus.js.publish(
                f"{self._prefix}{seat_key(partition)}",
                encode(holder),
                timeout=PUBLISH_SECONDS,
                headers=bound,
            )
        except nats.js.errors.APIError as error:
            if error.err_code != _WRONG_LAST_SEQUENCE:
                raise
            return False
        self._held[partition] = _Held(stored.seq, asked + DISPATCHER_TTL_SECONDS, since)
        return True

    async def _look(self, partition: int) -> tuple[SeatHolder | None, int]:
        """The seat's holder and the revision of its key; (None, revision): vacant."""
        holder, revision, _ = await self._read_seat(partition)
        return holder, revision

    async def _read_seat(self, partition: int) -> tuple[SeatHolder | None, int, bool]:
        """The same, and whether its last holder has left it of its own accord."""
        try:
            # Not a direct read, which a replica may answer from behind.
            found = await self._bus.js.get_msg(self._stream, subject=f"{self._prefix}{seat_key(partition)}")
        except nats.js.errors.NotFoundError:
            return None, 0, False
        left, lapsed = (name in (found.headers or {}) for name in (_DELETED, _MARKED))
        holder = None if left or lapsed else _read(SeatHolder, found.data)
        return holder, int(found.seq or 0), left and not lapsed

    def _is_ours(self, holder: SeatHolder) -> bool:
        return (holder.dispatcher, holder.started_at) == (self._name, self._started_at)


def _read(kind: type[M], value: bytes | None) -> M | None:
    if not value:
        return None
    with suppress(MalformedMessageError):
        return decode(kind, value)
    return None
