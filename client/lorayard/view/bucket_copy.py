"""A bucket's newest values, of which a look reads no more than what has changed since the one before.

Looks, and no watch: a busy worker writes its advert 20 times a second, and who shows a yard needs one of
them. The server keeps the last one of each key, so that a look costs no more than a value for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Generic, TypeVar

from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import ApiError, Bus, JsonMap
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.losses import asked_again
from lorayard_shared.bus.scanning import read_page
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.value import value

M = TypeVar("M")

STREAM_NOT_FOUND = 10059


class Written(StrEnum):
    """What was written under a key last."""

    VALUE = "value"
    TAKEN_DOWN = "taken_down"
    """By its writer, who means it."""
    EXPIRED = "expired"
    """By the server: nobody has renewed it."""


@value
class Entry(Generic[M]):
    """One key's newest entry."""

    sequence: int
    stored_at: float
    """Unix seconds, by the server's clock."""
    written: Written
    value: M | None
    """None: there is none, or it cannot be read."""


class BucketCopy(Generic[M]):
    """One bucket as it was at the last look."""

    def __init__(self, bus: Bus, kind: str, read: Callable[[str, bytes], M | None]) -> None:
        """`read` gets a key and its value; MalformedMessageError: it cannot be read, None: it is left out."""
        self.kind = kind
        self.name = bus.subjects.bucket(kind)
        self.entries: dict[str, Entry[M]] = {}
        self.unreadable: dict[str, str] = {}
        """Key -> why."""
        self.missing = False
        """There is no such bucket."""
        self.server_now = 0.0
        """Unix seconds of the last look, by the server's clock."""
        self.changes = 0
        """Looks that found something new."""
        self._bus, self._read = bus, read
        self._stream, self._head = f"KV_{self.name}", f"$KV.{self.name}."
        self._created = ""
        self._sequence = 0

    @property
    def values(self) -> Mapping[str, M]:
        """What can be read, by key."""
        return {key: entry.value for key, entry in self.entries.items() if entry.value is not None}

    async def look(self) -> None:
        """Read what is new.

        Raises:
            ApiError: the server refused.
            nats.errors.Error: no answer.
        """
        info = await self._info()
        if info is None:
            self._forget()
            self.missing = True
            return
        self.missing = False
        state, created = info["state"], str(info.get("created", ""))
        self.server_now = server_seconds(str(info["ts"]))
        last = int(state["last_seq"])
        if created != self._created or last < self._sequence:  # made anew, and counts from 1 again
            self._forget()
            self._created = created
        await self._read_on(last)
        # What expires leaves a mark for some seconds; who looks more seldom sees it by the number.
        known = sum(entry.sequence <= last for entry in self.entries.values())
        if known > int(state.get("num_subjects", known)):
            self._forget()
            self._created = created
            await self._read_on(last)

    async def _info(self) -> JsonMap | None:
        try:
            return await asked_again(self._bus, partial(self._bus.api, f"STREAM.INFO.{self._stream}"))
        except ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            return None

    def _forget(self) -> None:
        self.changes += bool(self.entries)
        self.entries, self.unreadable, self._sequence, self._created = {}, {}, 0, ""

    async def _read_on(self, last: int) -> None:
        newest: dict[str, Heard] = {}
        while self._sequence < last:
            at = self._sequence + 1
            page = await asked_again(
                self._bus, partial(read_page, self._bus, self._stream, f"{self._head}>", at)
            )
            if not page:
                self._sequence = last
            for message in page:
                headers = message.headers or {}
                newest[headers["Nats-Subject"].removeprefix(self._head)] = message
                self._sequence = int(headers["Nats-Sequence"])
        self.changes += bool(newest)
        for key, message in newest.items():
            self._take(key, message)

    def _take(self, key: str, message: Heard) -> None:
        headers = message.headers or {}
        self.unreadable.pop(key, None)
        written, found = _written(headers), None
        if written is Written.VALUE:
            try:
                found = self._read(key, message.data)
            except MalformedMessageError as error:
                self.unreadable[key] = str(error)
        self.entries[key] = Entry(
            sequence=int(headers["Nats-Sequence"]),
            stored_at=server_seconds(headers["Nats-Time-Stamp"]),
            written=written,
            value=found,
        )


def _written(headers: Mapping[str, str]) -> Written:
    # A writer that takes its value down means it, and so does who purges it by hand; of an expiry the server
    # makes a mark of its own. Without a word of either it is a value, and one that is empty cannot be read.
    reason = headers.get("Nats-Marker-Reason")
    if reason is not None:
        return Written.EXPIRED if reason == "MaxAge" else Written.TAKEN_DOWN
    return Written.TAKEN_DOWN if headers.get("KV-Operation") in ("DEL", "PURGE") else Written.VALUE
