"""The buckets that a snapshot is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from lorayard.view.bucket_copy import BucketCopy
from lorayard_schemas.adapter import AdapterRecord, decode_record
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.batch_record import BatchRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.control import CAPS, PAUSES, Cap, Pause
from lorayard_schemas.message import Message
from lorayard_schemas.names import version_order
from lorayard_schemas.placement import Placement
from lorayard_schemas.seat import DISPATCHER_KEY, SEAT_KEY, DispatcherAdvert
from lorayard_schemas.snapshot import SnapshotPart
from lorayard_schemas.strike import STRIKES, Strike
from lorayard_shared.bus.connection import Bus

M = TypeVar("M", bound=Message)


class Buckets:
    """Copies of them; each look reads what is new."""

    def __init__(self, bus: Bus) -> None:
        self.workers = BucketCopy(bus, "workers", _reader(WorkerAdvert))
        self.dispatchers = BucketCopy(bus, "dispatchers", _seat_or_dispatcher)
        self._adapters = BucketCopy(bus, "adapters", decode_record)
        self._aliases = BucketCopy(bus, "aliases", _reader(AliasRecord))
        self._placements = BucketCopy(bus, "placements", _reader(Placement))
        self._control = BucketCopy(bus, "control", _hold)
        self._batches = BucketCopy(bus, "batches", _reader(BatchRecord))
        self._records: tuple[int, tuple[AdapterRecord, ...]] = (-1, ())

    async def look(self, parts: frozenset[SnapshotPart]) -> None:
        """Read those that these parts need.

        Raises:
            ApiError: the server refused.
            nats.errors.Error: no answer.
        """
        wanted: list[BucketCopy[Any]] = [self.workers, self.dispatchers, self._adapters, self._control]
        if SnapshotPart.ADAPTERS in parts:
            wanted += [self._aliases, self._placements]
        if SnapshotPart.BATCHES in parts:
            wanted.append(self._batches)
        await asyncio.gather(*(copy.look() for copy in wanted))

    @property
    def _all(self) -> tuple[BucketCopy[Any], ...]:
        return (
            self.workers,
            self.dispatchers,
            self._adapters,
            self._aliases,
            self._placements,
            self._control,
            self._batches,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of those that are not there, as streams are called."""
        return tuple(f"KV_{copy.name}" for copy in self._all if copy.missing)

    @property
    def unreadable(self) -> dict[str, str]:
        """`bucket/key` -> why it cannot be read."""
        return {f"{copy.name}/{key}": why for copy in self._all for key, why in copy.unreadable.items()}

    @property
    def server_now(self) -> float:
        """Unix seconds of the last look, by the server's clock."""
        return max(copy.server_now for copy in self._all)

    @property
    def adapters(self) -> tuple[AdapterRecord, ...]:
        """By name and version."""
        copy = self._adapters
        if self._records[0] != copy.changes:
            ordered = sorted(copy.values.values(), key=lambda one: (one.name, version_order(one.version)))
            self._records = (copy.changes, tuple(ordered))
        return self._records[1]

    @property
    def aliases(self) -> tuple[AliasRecord, ...]:
        """In no order."""
        return tuple(self._aliases.values.values())

    @property
    def placements(self) -> tuple[Placement, ...]:
        """In no order."""
        return tuple(self._placements.values.values())

    @property
    def batches(self) -> tuple[BatchRecord, ...]:
        """In no order."""
        return tuple(self._batches.values.values())

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """The longest first."""
        found = (one for one in self._control.values.values() if isinstance(one, Strike))
        return tuple(sorted(found, key=lambda one: (one.at, one.label)))

    @property
    def caps(self) -> tuple[Cap, ...]:
        """The oldest first."""
        found = (one for one in self._control.values.values() if isinstance(one, Cap))
        return tuple(sorted(found, key=lambda one: (one.at, one.label)))

    def pauses(self, now: float) -> tuple[Pause, ...]:
        """Those that are not over, the longest first."""
        found = (one for one in self._control.values.values() if isinstance(one, Pause))
        return tuple(
            sorted((one for one in found if not one.is_over(now)), key=lambda one: (one.at, one.label))
        )

    @property
    def living(self) -> tuple[DispatcherAdvert, ...]:
        """Dispatchers that say that they live, by name."""
        found = (one for one in self.dispatchers.values.values() if isinstance(one, DispatcherAdvert))
        return tuple(sorted(found, key=lambda one: one.dispatcher))

    @property
    def seats(self) -> frozenset[int]:
        """Partitions of which somebody holds the seat."""
        return frozenset(one for one in self.dispatchers.values.values() if isinstance(one, int))


def _reader(kind: type[M]) -> Callable[[str, bytes], M]:
    return lambda _key, value: decode(kind, value)


def _hold(key: str, value: bytes) -> Strike | Pause | Cap | None:
    if key.startswith(STRIKES):
        return decode(Strike, value)
    if key.startswith(PAUSES):
        return decode(Pause, value)
    return decode(Cap, value) if key.startswith(CAPS) else None


def _seat_or_dispatcher(key: str, value: bytes) -> DispatcherAdvert | int | None:
    if key.startswith(DISPATCHER_KEY):
        return decode(DispatcherAdvert, value)
    number = key.removeprefix(SEAT_KEY)
    return int(number) if key.startswith(SEAT_KEY) and number.isdecimal() else None
