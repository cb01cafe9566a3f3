"""Objects of a store by name, whole and in memory: for parts of files, which have a few MiB each.

They lie as every NATS client keeps them (chunks and a description), so `nats object` sees them too. nats-py
reads none of them here, because its reader makes a consumer on the server for each object, grows its buffer
quadratically (nats.py issue 703) and waits for ever for a chunk that is gone. This one asks for all chunks in
one direct request (server 2.11), which leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import nats.errors
import nats.js.errors
from nats.js.api import RawStreamMsg

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.losses import answered, asked_again
from lorayard_shared.bus.object_writes import description_subject, erase_object, put_object, remove_object
from lorayard_shared.registry.errors import StoreFullError

READ_SECONDS = 30.0
"""For one object from a server that is far away: 4 MiB at 1 Mbit/s."""

WRITE_SECONDS = 60.0

_FULL = frozenset({10023, 10028, 10047})
"""Resources of the server or the account are used up."""

_REFUSED = 10077
"""Any refusal of the stream: only the text tells that of a full one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the store says of an object."""

    nuid: str
    """Its chunks' name."""
    size_bytes: int
    chunks: int
    at: float
    """When it was stored, in Unix seconds of the server."""


def stored_at(message: RawStreamMsg) -> float:
    """When the server stored a message that was read directly, in Unix seconds."""
    headers = cast("dict[str, str]", message.headers)  # nats-py says no more than that it is a dict
    return datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()


class Objects:
    """The objects of one store."""

    def __init__(self, bus: Bus, kind: str) -> None:
        self._bus = bus
        self._bucket = bus.subjects.bucket(kind)
        self._stream = f"OBJ_{self._bucket}"

    async def size(self, name: str) -> int | None:
        """How many bytes an object has; None: there is none.

        Raises:
            nats.errors.Error: the bus did not answer.
        """
        found = await self.describe(name)
        return None if found is None else found.size_bytes

    async def put(self, name: str, data: bytes) -> None:
        """Keep an object; one of the same name is replaced.

        Raises:
            StoreFullError: the store takes no more.
            nats.errors.Error: the bus did not take it.
        """
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await put_object(self._bus, self._bucket, name, data)
        except TimeoutError as error:
            raise nats.errors.TimeoutError from error
        except nats.js.errors.APIError as error:
            if error.err_code in _FULL or (error.err_code == _REFUSED and "maximum" in str(error)):
                raise StoreFullError(store=self._bucket, reason=error.description or "") from error
            raise

    async def get(self, name: str, *, limit_bytes: int) -> bytes | None:
        """An object's bytes, as they are in the store; None: there is none, or not all of it.

        Whoever asks knows by a digest whether they are right. More than `limit_bytes` is never read.

        Raises:
            nats.errors.Error: the bus did not answer.
        """
        found = await self.describe(name)
        if found is None or found.size_bytes > limit_bytes:
            return None
        if found.chunks == 0:
            return b""
        data = b"".join(await asked_again(self._bus, lambda: self._chunks(found, limit_bytes)))
        return data if len(data) == found.size_bytes else None

    async def remove(self, name: str) -> None:
        """Take an object away, if it is there."""
        await remove_object(self._bus, self._bucket, name)

    async def erase(self, name: str) -> None:
        """The same, and no mark stays that it was there: for names that never come again."""
        await erase_object(self._bus, self._bucket, name)

    async def describe(self, name: str) -> Description | None:
        """What the store says of an object; None: there is none.

        Raises:
            nats.errors.Error: the bus did not answer.
        """
        subject = description_subject(self._bucket, name)
        try:
            message = await self._bus.js.get_msg(self._stream, subject=subject, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        try:
            told: dict[str, Any] = json.loads(message.data or b"")
            if told.get("deleted") or told.get("options", {}).get("link"):
                return None
            return Description(
                nuid=str(told["nuid"]),
                size_bytes=int(told["size"]),
                chunks=int(told["chunks"]),
                at=stored_at(message),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # not of ours: as good as none

    async def _chunks(self, found: Description, limit_bytes: int) -> list[bytes]:
        """In the order they were written."""
        chunks: list[bytes] = []
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        taken = 0

        def take(message: Heard) -> None:
            nonlocal taken
            taken += len(message.data)
            if (message.headers or {}).get("Status") or taken > limit_bytes:
                if not end.done():
                    end.set_result(None)  # all are here, there are none, or more than there should be
                return
            chunks.append(message.data)

        inbox, losses = self._bus.nc.new_inbox(), self._bus.disconnects
        hearing = await self._bus.nc.hear(inbox, take)
        try:
            subject = f"$O.{self._bucket}.C.{found.nuid}"
            wanted = {"seq": 1, "next_by_subj": subject, "batch": found.chunks + 1}
            request = f"$JS.API.DIRECT.GET.{self._stream}"
            await self._bus.nc.publish(request, json.dumps(wanted).encode(), reply=inbox)
            await answered(self._bus, end, losses, seconds=READ_SECONDS)
        finally:
            with suppress(nats.errors.Error):
                await hearing.unsubscribe()
        return chunks
