"""A watched bucket as a dict that is whole again after every reconnect.

nats-py's own watcher is blind for about 19 s after a server restart (docs/architecture.md, Connections), so a
reconnect here stops the watch, lists the bucket, and watches again.

An outage longer than a value's time to live makes it expire though its writer lives: the writer was cut off
too. So what vanished while the connection was away is gone only after a grace, in which it can be written
again.

And a value may outlive its writer: the server's clock was set back, or it was put without a time to live.
Where writers renew their values, one that is not renewed counts as gone, and a watch that hears nothing of a
value it knows lists the bucket anew.

And a bucket may be deleted under its watch, which then hears nothing more: nats-py goes on behind the last
revision that it has seen, and a new bucket counts from 1. So a quiet watch asks whether its bucket is still
the same. One that is missing is declared again, and what nobody would tell again is put back as it was known.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.hearing import CHECK_SECONDS, WatchHearing
from lorayard_shared.bus.listing import ListingEnd, holds_nothing
from lorayard_shared.bus.restore import find_bucket, restore_bucket
from lorayard_shared.errors import BusDeclarationError
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.repeated import Repeated

Change = Callable[[str, bytes | None], None]
"""Called with a key and its new value; None means gone."""

BACKOFF_SECONDS = 0.5
"""Between attempts to watch: a loop without one left hundreds of consumers behind (openobserve 13676)."""

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, ApiError, BusDeclarationError, TimeoutError)

_SETTLE_SECONDS = 1.0
"""For a watch that is being set up when it is no longer wanted; a silent bus is not waited for longer."""

_TELL_SECONDS = 10.0


class BucketWatch:
    """Feeds every change of one bucket to a callback, from the current values on."""

    def __init__(
        self,
        bus: Bus,
        bucket: str,
        on_change: Change,
        *,
        gone_grace_seconds: float = 0.0,
        renewed_seconds: float = math.inf,
        check_seconds: float = CHECK_SECONDS,
        put_back_after_seconds: float = 0.0,
    ) -> None:
        """`renewed_seconds`: the longest that a writer that lives leaves its value as it is.

        `put_back_after_seconds`: of a bucket made anew; where many watch it, few others should have to.
        """
        self._bus = bus
        self._bucket = bucket
        self._on_change = on_change
        self._again = asyncio.Event()
        self._puts_back = not find_bucket(bus, bucket).live
        self._known: dict[str, bytes] = {}
        """Values where they are put back, else only keys."""
        self._created: datetime | None = None
        """When the bucket was made that was listed last."""
        self._put_back_after_seconds = put_back_after_seconds
        self._put_back_at: tuple[datetime | None, float] = (None, 0.0)
        """Into the bucket that was made then, at that monotonic time."""
        self._grace_seconds = gone_grace_seconds
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._renewed_seconds = renewed_seconds
        self._quiet_seconds = min(check_seconds, renewed_seconds)
        self._hearing = WatchHearing(self._quiet_seconds)
        self._renewals: dict[str, tuple[int, float]] = {}  # revision, and when it was first heard (monotonic)
        self._disconnects = bus.disconnects
        self._listed_at: float | None = None  # the loop's clock; None while a listing comes in
        self.ready = asyncio.Event()
        """Set once the first whole listing is in."""
        self.bucket = bucket
        self._stirred = asyncio.Event()
        self._failures = Repeated(every_seconds=_TELL_SECONDS, clock=time.monotonic)
        self._log = process_logger(bucket=bucket)
        bus.on_reconnect(self._on_reconnect)

    @property
    def blind(self) -> bool:
        """Whether it does not hear what changes: it has missed something, or nobody tells what there is."""
        return self._hearing.blind(time.monotonic())

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                self._again.clear()
                self._hearing.unsure(time.monotonic())
                try:
                    await self._watch_once()
                except _TROUBLE as error:
                    if (times := self._failures.again()) is not None:
                        self._log.warning(
                            Event.WATCH_RESTARTED, error=str(error) or type(error).__name__, times=times
                        )
                    await asyncio.sleep(BACKOFF_SECONDS)
        finally:
            for timer in self._leaving.values():
                timer.cancel()

    async def catch_up(self) -> None:
        """Wait until all has been heard that the bucket holds by now, however long that takes.

        Raises:
            nats.errors.Error, nats.js.errors.Error: the bus does not say.
        """
        state = (await self._bus.js.stream_info(f"KV_{self._bucket}")).state
        while state.messages and self._hearing.revision < state.last_seq:
            self._stirred.clear()
            await self._stirred.wait()

    def look_again(self) -> None:
        """There is reason to believe that this watch is blind."""
        self._again.set()

    async def _watch_once(self) -> None:
        self._disconnects, self._listed_at = self._bus.disconnects, None
        self._hearing.begins()
        bucket = await self._open()
        made = (await bucket.status()).stream_info
        created, until = made.created, made.state.last_seq
        watcher = await _watcher(bucket)
        seen: set[str] = set()
        listing = True
        end = ListingEnd(lambda: holds_nothing(bucket))
        again = asyncio.create_task(self._again.wait(), name=f"watch-again-{self._bucket}")
        try:
            while not again.done():
                step = asyncio.create_task(self._next(watcher), name=f"watch-{self._bucket}")
                try:
                    await asyncio.wait({step, again}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    step.cancel()  # does nothing to one that is done
                if not step.done():
                    return
                try:
                    entry = step.result()
                except nats.errors.TimeoutError:
                    if listing:
                        raise
                    if await self._is_another(bucket, created):
                        return
                else:
                    if not listing:
                        self._hearing.sure()
                    if entry is not None:
                        seen.add(entry.key)
                        self._apply(entry)
                        self._hearing.hears(entry.revision or 0)
                        self._stirred.set()
                    if listing and await end.reached(entry):
                        listing = False
                        if self._puts_back and self._created not in (None, created):
                            if await self._leaves_it_to_others(created, seen):
                                return
                            await self._put_back(bucket, seen)
                        self._created = created
                        self._hearing.listed(until)
                        self._stirred.set()
                        self._listed(seen)
                if not listing and self._is_overdue():
                    return
        finally:
            again.cancel()
            with suppress(nats.errors.Error, nats.js.errors.Error):
                await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py

    async def _open(self) -> KeyValue:
        """The bucket, made again if somebody has deleted it."""
        try:
            return await self._bus.js.key_value(self._bucket)
        except nats.js.errors.BucketNotFoundError:
            await restore_bucket(self._bus, self._bucket)
            self._log.warning(Event.BUS_RESTORED, what=self._bucket)
            return await self._bus.js.key_value(self._bucket)

    async def _is_another(self, bucket: KeyValue, created: datetime | None) -> bool:
        """Whether it is gone, was made anew, or changes unheard. A bus that does not answer is no reason to
        list it again."""
        self._hearing.unsure(time.monotonic())
        if not self._bus.connected:
            return False
        try:
            now = (await bucket.status()).stream_info
        except nats.js.errors.NotFoundError:
            return True
        except (nats.errors.Error, nats.js.errors.Error):
            return False
        if now.created != created:
            return True
        missed = self._hearing.missed(now.state.last_seq if now.state.messages else 0)
        if missed:
            self._log.warning(Event.WATCH_RESTARTED, error="it did not hear a change", times=1)
        return missed

    async def _leaves_it_to_others(self, created: datetime | None, seen: set[str]) -> bool:
        """Wait until it is our turn to put back what is lacking; whether to list it again before."""
        if self._put_back_at[0] != created:
            self._put_back_at = (created, time.monotonic() + self._put_back_after_seconds)
        left = self._put_back_at[1] - time.monotonic()
        if left <= 0 or seen >= self._known.keys():
            return False
        await asyncio.sleep(min(left, self._quiet_seconds))
        return True

    async def _put_back(self, bucket: KeyValue, seen: set[str]) -> None:
        """Write what was known into a bucket that was made anew, unless it is there already."""
        lost = sorted(self._known.keys() - seen)
        for key in lost:
            with suppress(nats.js.errors.KeyWrongLastSequenceError):
                await bucket.create(key, self._known[key])
        seen.update(lost)
        self._log.warning(Event.BUS_RESTORED, what=self._bucket, values=len(lost))

    async def _next(self, watcher: KeyValue.KeyWatcher) -> KeyValue.Entry | None:
        seconds = self._hearing.patience_seconds
        entry = await watcher.updates(timeout=seconds)  # type: ignore[no-untyped-call]  # nats-py
        return entry if isinstance(entry, KeyValue.Entry) else None

    def _is_overdue(self) -> bool:
        """Whether a value that is known was not renewed, as far as is heard: the next listing knows."""
        return self._renewed_seconds < math.inf and any(
            key not in self._leaving and self._age(key) > self._renewed_seconds for key in self._known
        )

    def _age(self, key: str) -> float:
        return time.monotonic() - self._renewals[key][1]

    def _is_renewed(self, entry: KeyValue.Entry) -> bool:
        """Whether its writer lives; one value is heard again with each listing."""
        revision = entry.revision or 0
        if self._renewals.get(entry.key, (-1, 0.0))[0] != revision:
            self._renewals[entry.key] = (revision, time.monotonic())
        return self._age(entry.key) <= self._renewed_seconds

    def _apply(self, entry: KeyValue.Entry) -> None:
        if entry.operation is None and entry.value and not self._is_renewed(entry):
            if self._may_come_back(entry.key):
                self._leave_later(entry.key)
            elif entry.key in self._known:
                self._gone(entry.key)
        elif entry.operation is None and entry.value:
            self._stays(entry.key)
            self._known[entry.key] = entry.value if self._puts_back else b""
            self._on_change(entry.key, entry.value)
        # A writer that takes its value down means it; of an expiry the server makes a purge, or no operation.
        elif entry.operation != "DEL" and self._may_come_back(entry.key):
            self._leave_later(entry.key)
        else:
            self._gone(entry.key)

    def _listed(self, seen: set[str]) -> None:
        for key in sorted(self._known.keys() - seen):
            self._leave_later(key)
        self._listed_at = asyncio.get_running_loop().time()
        self._hearing.sure()
        self.ready.set()

    @property
    def _blind(self) -> bool:
        """Whether the connection was away since the last listing began."""
        return self._bus.disconnects != self._disconnects

    def _may_come_back(self, key: str) -> bool:
        if key not in self._known:
            return False
        if self._blind or self._listed_at is None:
            return True
        return asyncio.get_running_loop().time() - self._listed_at < self._grace_seconds

    def _leave_later(self, key: str) -> None:
        if self._grace_seconds <= 0:
            self._gone(key)
            return
        self._stays(key)
        self._leaving[key] = asyncio.get_running_loop().call_later(self._grace_seconds, self._left, key)

    def _left(self, key: str) -> None:
        del self._leaving[key]
        if not self._blind:  # else the next listing judges anew
            self._gone(key)

    def _stays(self, key: str) -> None:
        if (timer := self._leaving.pop(key, None)) is not None:
            timer.cancel()

    def _gone(self, key: str) -> None:
        self._stays(key)
        # Of a value that was not renewed it stays: the next listing still has it, and must not bring it back.
        if key in self._known and self._age(key) <= self._renewed_seconds:
            del self._renewals[key]
        self._known.pop(key, None)
        self._on_change(key, None)

    async def _on_reconnect(self) -> None:
        self.look_again()


async def _watcher(bucket: KeyValue) -> KeyValue.KeyWatcher:
    """A watch of all keys; a cancellation meanwhile ends it too.

    nats-py 2.16 leaves two tasks and a subscription behind when `watchall` is cancelled after it subscribed.
    """
    opening = asyncio.ensure_future(bucket.watchall())
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait({opening}, timeout=_SETTLE_SECONDS)
        if not opening.done():
            opening.cancel()
        elif opening.exception() is None:
            with suppress(nats.errors.Error, nats.js.errors.Error):
                await opening.result().stop()  # type: ignore[no-untyped-call]  # nats-py
        raise
