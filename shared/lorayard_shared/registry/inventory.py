"""All that lies in an object store, as the server tells it: objects, and pieces that belong to none.

An object is a description and its chunks, which come first: where a writer dies between, chunks stay that no
description names, and no reader ever sees.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import nats.js.errors

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.object_writes import CHUNK_BYTES
from lorayard_shared.registry.objects import Objects, stored_at

AT_ONCE = 32
"""Questions under way: 10,000 objects take a second or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object."""

    name: str
    size_bytes: int
    at: float
    """When it was stored, in Unix seconds of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoosePiece:
    """Chunks of one writing that was never ended."""

    nuid: str
    size_bytes: int
    """At most."""
    at: float
    """Of the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What there is."""

    objects: tuple[StoredObject, ...]
    pieces: tuple[LoosePiece, ...]
    at: float
    """Now, by the server's clock."""


async def take_inventory(bus: Bus, kind: str = "blobs") -> Inventory:
    """Look at everything in one store.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    bucket = bus.subjects.bucket(kind)
    now = await _now(bus, bucket)
    # Descriptions first: one that is written after this has chunks that are too young to be taken.
    names = [_name(subject) for subject in await _subjects(bus, bucket, "M")]
    objects, known = Objects(bus, kind), set[str]()
    found: list[StoredObject] = []
    limit = asyncio.Semaphore(AT_ONCE)

    async def look(name: str) -> None:
        async with limit:
            description = await objects.describe(name)
        if description is not None:
            known.add(description.nuid)
            found.append(StoredObject(name=name, size_bytes=description.size_bytes, at=description.at))

    await asyncio.gather(*(look(name) for name in names if name is not None))
    chunks = {
        subject.rpartition(".")[2]: count for subject, count in (await _subjects(bus, bucket, "C")).items()
    }
    loose = [await _piece(bus, bucket, nuid, count) for nuid, count in chunks.items() if nuid not in known]
    return Inventory(
        objects=tuple(sorted(found, key=lambda one: one.name)),
        pieces=tuple(piece for piece in loose if piece is not None),
        at=now,
    )


async def object_names(bus: Bus, kind: str = "blobs") -> frozenset[str]:
    """Of every object in one store, also of those that were taken away and have a mark there.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    subjects = await _subjects(bus, bus.subjects.bucket(kind), "M")
    return frozenset(name for subject in subjects if (name := _name(subject)) is not None)


async def purge_piece(bus: Bus, piece: LoosePiece, kind: str = "blobs") -> None:
    """Take loose chunks away."""
    bucket = bus.subjects.bucket(kind)
    await bus.api(f"STREAM.PURGE.OBJ_{bucket}", {"filter": f"$O.{bucket}.C.{piece.nuid}"})


async def _now(bus: Bus, bucket: str) -> float:
    info = await bus.api(f"STREAM.INFO.OBJ_{bucket}")
    return datetime.fromisoformat(str(info["ts"])).timestamp()


async def _subjects(bus: Bus, bucket: str, kind: str) -> dict[str, int]:
    """Subject -> messages; the server tells 100,000 of them at once."""
    found: dict[str, int] = {}
    while True:
        body = {"subjects_filter": f"$O.{bucket}.{kind}.>", "offset": len(found)}
        info = await bus.api(f"STREAM.INFO.OBJ_{bucket}", body)
        page: Mapping[str, int] = info["state"].get("subjects") or {}
        found.update(page)
        if not page or len(found) >= int(info.get("total", 0)):
            return found


def _name(subject: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(subject.rpartition(".")[2]).decode()
    except (binascii.Error, ValueError):
        return None  # not of ours


async def _piece(bus: Bus, bucket: str, nuid: str, count: int) -> LoosePiece | None:
    try:
        last = await bus.js.get_msg(f"OBJ_{bucket}", subject=f"$O.{bucket}.C.{nuid}", direct=True)
    except nats.js.errors.NotFoundError:
        return None  # taken away meanwhile
    return LoosePiece(
        nuid=nuid, size_bytes=(count - 1) * CHUNK_BYTES + len(last.data or b""), at=stored_at(last)
    )
