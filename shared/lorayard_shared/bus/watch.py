"""A watched bucket as a dict that is whole again after every reconnect.

nats-py's own watcher is blind for about 19 s after a server restart (anchors-bus A3), so a reconnect here
stops the watch, lists the bucket, and watches again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import nats.errors
import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event, process_logger

Change = Callable[[str, bytes | None], None]
"""Called with a key and its new value; None means gone."""

BACKOFF_SECONDS = 0.5
"""Between attempts to watch: a loop without one left hundreds of consumers behind (openobserve 13676)."""

IDLE_SECONDS = 3600
"""A bucket may be quiet for long; a reconnect ends the wait, not this."""


class BucketWatch:
    """Feeds every change of one bucket to a callback, from the current values on."""

    def __init__(self, bus: Bus, bucket: str, on_change: Change) -> None:
        self._bus = bus
        self._bucket = bucket
        self._on_change = on_change
        self._again = asyncio.Event()
        self._known: set[str] = set()
        self.ready = asyncio.Event()
        """Set once the first whole listing is in."""
        self._log = process_logger(bucket=bucket)
        bus.on_reconnect(self._on_reconnect)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._again.clear()
            try:
                await self._watch_once()
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
                self._log.warning(Event.WATCH_RESTARTED, error=str(error))
                await asyncio.sleep(BACKOFF_SECONDS)

    async def _watch_once(self) -> None:
        bucket = await self._bus.js.key_value(self._bucket)
        watcher = await bucket.watchall()
        seen: set[str] = set()
        listing = True
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
                entry = step.result()
                if entry is None:
                    if listing:
                        listing = False
                        self._listed(seen)
                    continue
                seen.add(entry.key)
                self._apply(entry)
        finally:
            again.cancel()
            with suppress(nats.errors.Error, nats.js.errors.Error):
                await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py

    @staticmethod
    async def _next(watcher: KeyValue.KeyWatcher) -> KeyValue.Entry | None:
        try:
            entry = await watcher.updates(timeout=IDLE_SECONDS)  # type: ignore[no-untyped-call]  # nats-py
        except nats.errors.TimeoutError:
            return None
        return entry if isinstance(entry, KeyValue.Entry) else None

    def _apply(self, entry: KeyValue.Entry) -> None:
        # A server's own expiry marker comes without a value (anchors-bus A3).
        gone = entry.operation in ("DEL", "PURGE") or not entry.value
        if gone:
            self._known.discard(entry.key)
            self._on_change(entry.key, None)
        else:
            self._known.add(entry.key)
            self._on_change(entry.key, entry.value)

    def _listed(self, seen: set[str]) -> None:
        for key in sorted(self._known - seen):
            self._known.discard(key)
            self._on_change(key, None)
        self.ready.set()

    async def _on_reconnect(self) -> None:
        self._again.set()
