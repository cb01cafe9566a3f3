"""Texts too big for a message, kept in an object store and passed by reference."""

from __future__ import annotations

import asyncio
import hashlib
import io

import nats.errors
import nats.js.errors
from nats.js.object_store import ObjectStore

from lorayard_schemas.job import PayloadRef
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.object_writes import put_object
from lorayard_shared.errors import PayloadMissingError

GET_SECONDS = 30.0
"""Ample for `MAX_BYTES` from a local server; nats-py waits for ever when chunks or the server are gone."""

MAX_BYTES = 64 * 2**20
"""No prompt is longer; a reference to more is refused before anything is read."""


class PayloadStore:
    """Puts and gets texts by key; every get is checked against the digest in the reference."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._store: ObjectStore | None = None

    async def put(self, key: str, text: str) -> PayloadRef:
        """Keep a text; the same key and text may be put again.

        Raises:
            nats.errors.Error: the bus did not take it.
        """
        data = text.encode()
        await put_object(self._bus, self._bus.subjects.bucket("payloads"), key, data)
        return PayloadRef(key=key, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))

    async def get(self, ref: PayloadRef) -> str:
        """The text behind a reference.

        Raises:
            PayloadMissingError: gone, too big, or not the bytes that were promised.
            nats.errors.Error: the bus did not answer.
        """
        if ref.size_bytes > MAX_BYTES:
            raise PayloadMissingError(key=ref.key, reason=f"{ref.size_bytes} bytes, at most {MAX_BYTES}")
        store = await self._open()
        # Into a buffer of ours: the one of nats-py grows quadratically (nats.py issue 703).
        buffer = _BoundedBuffer(ref.key, MAX_BYTES)
        try:
            async with asyncio.timeout(GET_SECONDS):
                await store.get(ref.key, writeinto=buffer)
        except TimeoutError as error:
            raise nats.errors.TimeoutError from error
        except nats.js.errors.DigestMismatchError as error:
            raise PayloadMissingError(key=ref.key, reason="its bytes were damaged in the store") from error
        except (nats.js.errors.ObjectNotFoundError, nats.js.errors.ObjectDeletedError) as error:
            raise PayloadMissingError(key=ref.key, reason="it is not in the store (any more)") from error
        data = buffer.getvalue()
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise PayloadMissingError(key=ref.key, reason="its bytes are not those that were promised")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise PayloadMissingError(key=ref.key, reason=f"it is not UTF-8 ({error})") from error

    async def has(self, ref: PayloadRef) -> bool:
        """Whether something is kept under a reference's key; its bytes are not read.

        Raises:
            nats.errors.Error: the bus did not answer.
        """
        try:
            await (await self._open()).get_info(ref.key)
        except nats.js.errors.NotFoundError:
            return False
        return True

    async def _open(self) -> ObjectStore:
        if self._store is None:
            self._store = await self._bus.js.object_store(self._bus.subjects.bucket("payloads"))
        return self._store


class _BoundedBuffer(io.BytesIO):
    """Refuses to grow past a limit, whatever the reference claimed."""

    def __init__(self, key: str, limit: int) -> None:
        super().__init__()
        self._key = key
        self._limit = limit

    def write(self, data: bytes) -> int:  # type: ignore[override]  # nats-py writes bytes only
        if self.tell() + len(data) > self._limit:
            raise PayloadMissingError(key=self._key, reason=f"more than {self._limit} bytes")
        return super().write(data)
