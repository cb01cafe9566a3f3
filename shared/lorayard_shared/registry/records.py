"""Adapter records by compare-and-set: nobody overwrites what another has just written.

Each change says who made it and why, in the record and in the audit stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_schemas.adapter import TRANSITIONS, AdapterRecord, AdapterRefusal, AdapterState, record_key
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.bucket_writes import create_key, delete_key, update_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.audit import tell_change
from lorayard_shared.registry.errors import (
    ContendedError,
    RecordUnreadableError,
    TransitionError,
    VersionTakenError,
    VersionUnknownError,
)

TRIES = 20
"""Of one change: each lost try means that another writer's succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """A record as it is in the bucket now."""

    record: AdapterRecord
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes something, and why."""

    actor: str
    reason: str = ""


class Records:
    """Reads and changes records; every method raises `nats.errors.Error` where the bus does not answer, of
    which `UnansweredError` says that a change may be made, or not."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._opened: KeyValue | None = None

    async def find(self, name: str, version: str) -> KeptRecord | None:
        """The record, if there is one.

        Raises:
            RecordUnreadableError: what is there is no record.
        """
        bucket, key = await self._bucket(), record_key(name, version)
        try:
            entry = await bucket.get(key)
        except nats.js.errors.KeyNotFoundError:
            return None
        try:
            record = decode(AdapterRecord, entry.value or b"")
        except MalformedMessageError as error:
            raise RecordUnreadableError(key=key, reason=str(error)) from error
        return KeptRecord(record=record, revision=entry.revision or 0)

    async def get(self, name: str, version: str) -> KeptRecord:
        """The record.

        Raises:
            VersionUnknownError: there is none.
            RecordUnreadableError: what is there is no record.
        """
        kept = await self.find(name, version)
        if kept is None:
            raise VersionUnknownError(label=f"{name}@{version}")
        return kept

    async def create(self, record: AdapterRecord, author: Author, *, verb: str = "push") -> KeptRecord:
        """Register a version that is new.

        Raises:
            VersionTakenError: it is registered, for these bytes or others; both digests are told.
        """
        try:
            revision = await create_key(
                self._bus, "adapters", record_key(record.name, record.version), encode(record)
            )
        except nats.js.errors.KeyWrongLastSequenceError as error:
            known = await self.get(record.name, record.version)
            raise VersionTakenError(
                label=record.label, registered=known.record.digest, given=record.digest
            ) from error
        await self._tell(verb, author, revision, None, record)
        return KeptRecord(record=record, revision=revision)

    async def change(
        self,
        name: str,
        version: str,
        changed: Callable[[AdapterRecord], AdapterRecord],
        author: Author,
        *,
        verb: str,
        told: Callable[[AdapterRecord], str] = attrgetter("state"),
    ) -> KeptRecord:
        """Change a record; `changed` is asked anew where another writer was faster.

        A record that it leaves as it is, is not written. What it raises ends the try. `told` puts what has
        changed into words for the audit record.

        Raises:
            VersionUnknownError, RecordUnreadableError: there is none.
            ContendedError: others were faster every time.
        """
        for _ in range(TRIES):
            known = await self.get(name, version)
            wanted = changed(known.record)
            if wanted == known.record:
                return known
            wanted = wanted.model_copy(
                update={"changed_at": time.time(), "changed_by": author.actor, "change": author.reason}
            )
            try:
                revision = await update_key(
                    self._bus, "adapters", record_key(name, version), encode(wanted), last=known.revision
                )
            except nats.js.errors.KeyWrongLastSequenceError:
                continue
            await self._tell(verb, author, revision, known.record, wanted, told)
            return KeptRecord(record=wanted, revision=revision)
        raise ContendedError(label=f"{name}@{version}", tries=TRIES)

    async def move(
        self,
        name: str,
        version: str,
        after: AdapterState,
        author: Author,
        *,
        verb: str,
        refusal: AdapterRefusal | None = None,
        digest: str | None = None,
    ) -> KeptRecord:
        """Give a version another state; one that has it already stays as it is.

        `digest`: what the caller has judged; a record of other bytes is not touched.

        Raises:
            TransitionError: it cannot become that from what it is.
            VersionTakenError: it stands for other bytes than were judged.
            VersionUnknownError, RecordUnreadableError, ContendedError: as in `change`.
        """

        def moved(record: AdapterRecord) -> AdapterRecord:
            if digest is not None and record.digest != digest:
                raise VersionTakenError(label=record.label, registered=record.digest, given=digest)
            if record.state is after:
                return record
            check_move(record, after)
            found = {"refusal": refusal} if refusal is not None else {}
            return record.model_copy(update={"state": after, **found})

        return await self.change(name, version, moved, author, verb=verb)

    async def remove(self, kept: KeptRecord, author: Author) -> None:
        """Take a record away, if it is still the one that was looked at.

        Raises:
            ContendedError: it was changed meanwhile.
        """
        record, key = kept.record, record_key(kept.record.name, kept.record.version)
        try:
            await delete_key(self._bus, "adapters", key, last=kept.revision)
        except (nats.js.errors.KeyWrongLastSequenceError, nats.js.errors.BadRequestError) as error:
            raise ContendedError(label=record.label, tries=1) from error
        await self._tell("remove", author, 0, record, None)

    async def _bucket(self) -> KeyValue:
        if self._opened is None:
            self._opened = await self._bus.js.key_value(self._bus.subjects.bucket("adapters"))
        return self._opened

    async def _tell(
        self,
        verb: str,
        author: Author,
        revision: int,
        before: AdapterRecord | None,
        after: AdapterRecord | None,
        told: Callable[[AdapterRecord], str] = attrgetter("state"),
    ) -> None:
        record = after or before
        assert record is not None, "something was changed"
        await tell_change(
            self._bus,
            RegistryChange(
                at=time.time(),
                actor=author.actor,
                verb=verb,
                what="adapters",
                key=record.label,
                revision=revision,
                digest=record.digest,
                before=told(before) if before is not None else "",
                after=told(after) if after is not None else "",
                reason=author.reason,
            ),
        )


def check_move(record: AdapterRecord, after: AdapterState) -> None:
    """Whether a version may become that. Raises TransitionError."""
    if after not in TRANSITIONS[record.state]:
        detail = record.refusal.reason if record.state is AdapterState.REFUSED and record.refusal else ""
        raise TransitionError(label=record.label, before=record.state, after=after, detail=detail)
