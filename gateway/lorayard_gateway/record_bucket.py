"""Records in a bucket of the yard, read as they are now and changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import nats.js.errors
from nats.js.api import RawStreamMsg
from nats.js.kv import KeyValue

from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message
from lorayard_shared.bus.bucket_writes import create_key, delete_key, update_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_keys_like
from lorayard_shared.bus.losses import asked_again
from lorayard_shared.registry.errors import ContendedError

TRIES = 20
"""Of one change: each lost try means that another writer's succeeded."""

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[M]):
    """A record, and the revision that a write has to follow."""

    value: M
    revision: int


class RecordBucket(Generic[M]):
    """One kind of record; every method raises `nats.errors.Error` where the bus does not answer."""

    def __init__(self, bus: Bus, kind: str, message: type[M]) -> None:
        self._bus, self._kind, self._message = bus, kind, message
        self._bucket = bus.subjects.bucket(kind)
        self._opened: KeyValue | None = None

    async def get(self, key: str) -> Kept[M] | None:
        """What is there now; None: nothing that can be read."""
        stream, subject = f"KV_{self._bucket}", f"$KV.{self._bucket}.{key}"
        try:
            # Not a direct read, which a replica may answer from behind.
            found = await asked_again(self._bus, lambda: self._bus.js.get_msg(stream, subject=subject))
        except nats.js.errors.NotFoundError:
            return None
        value = self._read(found)
        return None if value is None else Kept(value=value, revision=int(found.seq or 0))

    async def list(self, pattern: str) -> list[M]:
        """What is there under keys of a pattern, in no order."""
        if self._opened is None:
            self._opened = await self._bus.js.key_value(self._bucket)
        entries = await list_keys_like(self._bus, self._opened, self._kind, pattern)
        read = [self._decode(one.value) for one in entries if one.operation is None and one.value]
        return [value for value in read if value is not None]

    async def create(self, key: str, value: M) -> int:
        """Write the first; returns its revision.

        Raises:
            nats.js.errors.KeyWrongLastSequenceError: there is one.
        """
        return await create_key(self._bus, self._kind, key, encode(value))

    async def change(self, key: str, changed: Callable[[M], M]) -> M | None:
        """Write what `changed` makes of what is there, asked anew where another writer was first.

        None: there is nothing. What is left as it is, is not written, and what is raised ends it.

        Raises:
            ContendedError: others were faster every time.
        """
        for _ in range(TRIES):
            known = await self.get(key)
            if known is None:
                return None
            wanted = changed(known.value)
            if wanted == known.value:
                return wanted
            try:
                await update_key(self._bus, self._kind, key, encode(wanted), last=known.revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                continue
            return wanted
        raise ContendedError(label=key, tries=TRIES)

    async def delete(self, key: str) -> None:
        """Take it away, whatever it is."""
        await delete_key(self._bus, self._kind, key)

    def _read(self, found: RawStreamMsg) -> M | None:
        head = cast("dict[str, str]", found.headers or {})  # nats-py says no more than that it is a dict
        if "KV-Operation" in head or "Nats-Marker-Reason" in head:
            return None
        return self._decode(found.data)

    def _decode(self, data: bytes | None) -> M | None:
        try:
            return decode(self._message, data or b"")
        except MalformedMessageError:
            return None  # as good as none, whoever wrote it
