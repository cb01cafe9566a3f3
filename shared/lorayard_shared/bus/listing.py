"""All that is in a bucket now, read in one go.

nats-py tells a watch that its bucket is empty where the server has sent what is in it and none of it is here
yet: its count of pending messages is 0 by then (2.16; one listing of 300 on a busy machine). So an end that
comes first is believed only of a bucket that is empty; else the last value is that behind which none waits.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from lorayard_shared.bus.connection import Bus

LISTING_SECONDS = 10.0

LOSS_LOOK_SECONDS = 0.25
"""Between two looks at whether the connection was lost."""

TRIES = 4

FORGOTTEN_SECONDS = 15.0
"""Then the server takes away what a listing was read by, which nats-py leaves there. The 5 minutes that it
asks for by itself are 18,000 consumers where 60 listings a second are read, and most of the server's time."""


class ListingEnd:
    """Tells where the listing ends that a watch begins with."""

    def __init__(self, is_empty: Callable[[], Awaitable[bool]]) -> None:
        """`is_empty` is asked where nats-py says that there is nothing."""
        self._is_empty = is_empty
        self._heard = False
        self._hasty = False

    async def reached(self, entry: KeyValue.Entry | None) -> bool:
        """Whether all has been told with this entry; None is what nats-py takes for the end.

        Raises:
            nats.errors.Error: the bus did not answer.
        """
        if entry is not None:
            self._heard = True
            return self._hasty and entry.delta == 0
        if self._heard:
            return True
        self._hasty = not await self._is_empty()
        return not self._hasty


async def holds_nothing(bucket: KeyValue) -> bool:
    """Whether a bucket has neither values nor marks of what was taken away."""
    return (await bucket.status()).values == 0


async def list_bucket(bucket: KeyValue) -> list[KeyValue.Entry]:
    """The newest entry of every key: values, and marks of what was taken away.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    return await _asked_again(
        bucket,
        lambda: bucket.watchall(inactive_threshold=FORGOTTEN_SECONDS),
        lambda: holds_nothing(bucket),
    )


async def list_keys_like(bus: Bus, bucket: KeyValue, kind: str, pattern: str) -> list[KeyValue.Entry]:
    """The same of the keys that fit a pattern (`*` is a token, `>` all that follow) in the bucket `kind`.

    Raises:
        nats.errors.Error: the bus did not answer.
    """

    async def none() -> bool:
        stream = f"KV_{bus.subjects.bucket(kind)}"
        asked = {"subjects_filter": f"$KV.{bus.subjects.bucket(kind)}.{pattern}"}
        info = await bus.api(f"STREAM.INFO.{stream}", asked)
        return not info["state"].get("subjects")

    return await _asked_again(
        bucket, lambda: bucket.watch(pattern, inactive_threshold=FORGOTTEN_SECONDS), none
    )


async def list_history(bucket: KeyValue, key: str) -> list[KeyValue.Entry]:
    """What a key was, the oldest first, as far as the bucket keeps it.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    return await _asked_again(
        bucket,
        lambda: bucket.watch(key, include_history=True, inactive_threshold=FORGOTTEN_SECONDS),
        lambda: _never_was(bucket, key),
    )


async def _never_was(bucket: KeyValue, key: str) -> bool:
    try:
        await bucket.get(key)
    except nats.js.errors.KeyNotFoundError as error:
        return error.entry is None  # else it was taken away, which is an entry too
    return False


async def _asked_again(
    bucket: KeyValue,
    watch: Callable[[], Awaitable[KeyValue.KeyWatcher]],
    is_empty: Callable[[], Awaitable[bool]],
) -> list[KeyValue.Entry]:
    """A listing, begun anew where its connection broke: the rest of it is lost, and nobody says so."""
    nc = bucket._js._nc  # pyright: ignore[reportPrivateUsage]  # a bucket has no other way to its connection
    for left in reversed(range(TRIES)):
        is_lost = partial(_has_changed, nc, nc.stats["reconnects"])
        try:
            return await _listing(await watch(), is_empty, is_lost)
        except (nats.errors.TimeoutError, nats.js.errors.NotFoundError):
            # What it was read by may be gone with the server, too.
            if not left or not is_lost():
                raise
    raise AssertionError("the last try returns or raises")


def _has_changed(nc: Client, connection: int) -> bool:
    return nc.stats["reconnects"] != connection


async def _listing(
    watcher: KeyValue.KeyWatcher, is_empty: Callable[[], Awaitable[bool]], lost: Callable[[], bool]
) -> list[KeyValue.Entry]:
    found: list[KeyValue.Entry] = []
    end = ListingEnd(is_empty)
    try:
        while True:
            entry = await _next(watcher, lost)
            if entry is not None:
                found.append(entry)
            if await end.reached(entry):
                return found
    finally:
        await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py


async def _next(watcher: KeyValue.KeyWatcher, lost: Callable[[], bool]) -> KeyValue.Entry | None:
    last = time.monotonic() + LISTING_SECONDS
    while True:
        try:
            told = await watcher.updates(timeout=LOSS_LOOK_SECONDS)  # type: ignore[no-untyped-call]  # nats-py
        except nats.errors.TimeoutError:
            if lost() or time.monotonic() > last:
                raise
        else:
            return told if isinstance(told, KeyValue.Entry) else None
