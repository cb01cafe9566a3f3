"""Two workers under one name would take each other's jobs for lost: the later one ends itself.

A name is taken while somebody else's advert beats under it. An advert alone proves nothing: that of a worker
which was killed lives on for `WORKER_TTL_SECONDS`, and its successor must not wait for that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import nats.js.errors
from nats.aio.msg import Msg

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.errors import SettingsError
from lorayard_workers.service.presence import BEAT_SECONDS, Presence

LISTEN_SECONDS = 2.5 * BEAT_SECONDS
"""A living worker beats at least twice in this time."""


class NameGuard:
    """Listens to the adverts under this worker's name."""

    def __init__(self, bus: Bus, presence: Presence) -> None:
        self._bus = bus
        self._presence = presence
        self._other: asyncio.Future[WorkerAdvert] = asyncio.get_running_loop().create_future()
        self._checking = False

    async def check_free(self) -> None:
        """Before the first advert: listen for another worker's, if there is one under this name.

        Raises:
            SettingsError: another worker beats under this name.
            nats.errors.Error: the bus did not answer.
        """
        await self._bus.nc.subscribe(self._presence.key, cb=self._on_advert)
        if await self._last_is_anothers():
            self._checking = True
            with suppress(TimeoutError):
                async with asyncio.timeout(LISTEN_SECONDS):
                    await self.watch()
            self._checking = False

    async def watch(self) -> None:
        """Wait for an older worker to beat under this name: two were started at once.

        Raises:
            SettingsError: there is one.
        """
        other = await asyncio.shield(self._other)
        raise SettingsError(
            setting="LORAYARD_NAME",
            reason=f"another worker is named {other.worker!r} (process {other.pid} on its machine); "
            "give each worker a name of its own, or stop that one first",
        )

    async def _last_is_anothers(self) -> bool:
        bucket = await self._bus.js.key_value(self._bus.subjects.bucket("workers"))
        try:
            entry = await bucket.get(self._presence.worker)
        except nats.js.errors.KeyNotFoundError:
            return False
        return self._read(entry.value or b"") is not None

    async def _on_advert(self, message: Msg) -> None:
        other = self._read(message.data)
        if other is None or self._other.done():
            return
        # Of two that show themselves only one may go: the one that came later.
        if self._checking or other.epoch < self._presence.epoch:
            self._other.set_result(other)

    def _read(self, body: bytes) -> WorkerAdvert | None:
        """The advert of another worker that does not stop; what cannot be read is none."""
        try:
            advert = decode(WorkerAdvert, body)
        except MalformedMessageError:
            return None
        return None if advert.epoch == self._presence.epoch or advert.load.draining else advert
