"""Values of a bucket that are changed as a whole, with what they were before: aliases, rules, strikes.

By compare-and-set, with an audit record for each change. A value that cannot be read counts as none, and may
be written over: somebody has to be able to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message
from lorayard_shared.bus.bucket_writes import delete_key, update_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket, list_history
from lorayard_shared.registry.audit import tell_change
from lorayard_shared.registry.errors import ContendedError
from lorayard_shared.registry.records import Author

TRIES = 10
"""Of one change: each lost try means that another writer's succeeded."""

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronicled(Generic[M]):
    """One key: what it was, the oldest first, as far as the bucket keeps it."""

    past: tuple[M, ...]
    now: M | None
    """None: there is none, or it was taken away."""
    revision: int
    """Of the bucket, that a write has to follow."""


class Chronicle(Generic[M]):
    """One kind of values; every method raises `nats.errors.Error` where the bus does not answer, of which
    `UnansweredError` says that a change may be made, or not."""

    def __init__(
        self, bus: Bus, kind: str, message: type[M], *, told: Callable[[M], str], prefix: str = ""
    ) -> None:
        """`kind` names the bucket, `told` puts a value into words for the audit record."""
        self._bus, self._kind, self._message, self._told = bus, kind, message, told
        self._prefix = prefix
        self._opened: KeyValue | None = None

    async def read(self, key: str) -> Chronicled[M]:
        """What is there, and was."""
        bucket = await self._bucket()
        entries = await list_history(bucket, key)
        if not entries:
            return Chronicled(past=(), now=None, revision=0)
        past = tuple(self._readable(entries))
        last = entries[-1]
        is_there = last.operation is None and bool(last.value) and self._read(last) is not None
        return Chronicled(past=past, now=past[-1] if is_there else None, revision=last.revision or 0)

    async def list(self) -> list[M]:
        """What is there under every key that can be read."""
        found = await list_bucket(await self._bucket())
        return list(self._readable([entry for entry in found if entry.key.startswith(self._prefix)]))

    async def change(
        self,
        key: str,
        changed: Callable[[Chronicled[M]], M | None],
        author: Author,
        *,
        verb: str,
        label: str,
    ) -> M | None:
        """Write what `changed` makes of what there is; None takes it away.

        It is asked anew where another writer was first, and what it raises ends the try. A value that it
        leaves as it is, is not written.

        Raises:
            ContendedError: others were faster every time.
        """
        for _ in range(TRIES):
            known = await self.read(key)
            wanted = changed(known)
            if wanted == known.now:
                return wanted
            try:
                revision = await self._write(key, wanted, known.revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                continue
            await self._tell(verb, label, author, revision, known.now, wanted)
            return wanted
        raise ContendedError(label=label, tries=TRIES)

    async def _write(self, key: str, wanted: M | None, last: int) -> int:
        if wanted is not None:
            return await update_key(self._bus, self._kind, key, encode(wanted), last=last)
        await delete_key(self._bus, self._kind, key, last=last)
        return 0

    def _readable(self, entries: Sequence[KeyValue.Entry]) -> Iterator[M]:
        for entry in entries:
            if entry.operation is None and entry.value and (value := self._read(entry)) is not None:
                yield value

    def _read(self, entry: KeyValue.Entry) -> M | None:
        try:
            return decode(self._message, entry.value or b"")
        except MalformedMessageError:
            return None  # whoever watches the bucket has said so

    async def _bucket(self) -> KeyValue:
        if self._opened is None:
            self._opened = await self._bus.js.key_value(self._bus.subjects.bucket(self._kind))
        return self._opened

    async def _tell(
        self, verb: str, label: str, author: Author, revision: int, before: M | None, after: M | None
    ) -> None:
        await tell_change(
            self._bus,
            RegistryChange(
                at=time.time(),
                actor=author.actor,
                verb=verb,
                what=self._kind,
                key=label,
                revision=revision,
                before=self._told(before) if before is not None else "",
                after=self._told(after) if after is not None else "",
                reason=author.reason,
            ),
        )
