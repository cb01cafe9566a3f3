"""Files in the object store, by digest: only what it lacks is sent, and nothing is believed that is read.

A file lies in parts of `PART_BYTES`, each an object under the digest of its bytes, beside a manifest under
the digest of the whole. 4 MiB: a transfer that is cut sends at most that much twice for each of the few parts
under way, a part is held in memory whole, and what the server is asked for each part (two requests) is small
beside eight chunks of 512 KiB. Smaller ones measured no faster.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorayard_schemas.adapter import StoredFile
from lorayard_schemas.blob import MAX_PART_BYTES, MAX_PARTS, BlobManifest
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.errors import FileMissingError
from lorayard_shared.registry.objects import Objects

PART_BYTES = 4 * 2**20

AT_ONCE = 4
"""Parts under way: more gave nothing on one machine, and each takes its bytes of memory twice."""

MANIFEST_BYTES = 2**20
"""More than one with `MAX_PARTS` parts has."""

OnBytes = Callable[[int], None]
"""Called with the bytes that have come to be in place, sent or found there."""


def unheard(_size_bytes: int) -> None:
    """For those who show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBytes:
    """A file to be stored, as it was read and judged."""

    name: str
    data: memoryview
    _manifests: dict[int, BlobManifest] = field(
        default_factory=dict[int, BlobManifest], init=False, repr=False, compare=False
    )
    """By size of the parts."""

    def sha256(self) -> str:
        """Of all its bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def stored(self) -> StoredFile:
        """As a record names it."""
        return StoredFile(name=self.name, sha256=self.sha256(), size_bytes=len(self.data))

    def manifest(self, part_bytes: int = PART_BYTES) -> BlobManifest:
        """Its digests. They take three seconds for a gigabyte, so they are made once."""
        while -(-len(self.data) // part_bytes) > MAX_PARTS:
            part_bytes *= 2
        if part_bytes not in self._manifests:
            self._manifests[part_bytes] = self._manifest(part_bytes)
        return self._manifests[part_bytes]

    def _manifest(self, part_bytes: int) -> BlobManifest:
        parts = [
            hashlib.sha256(self.data[start : start + part_bytes]).hexdigest()
            for start in range(0, len(self.data), part_bytes)
        ]
        return BlobManifest(
            sha256=self.sha256(),
            size_bytes=len(self.data),
            part_bytes=part_bytes,
            parts=tuple(parts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a file."""

    file: StoredFile
    sent_bytes: int
    """Of its size; the rest was in the store."""


class BlobStore:
    """Files by digest; every method raises `nats.errors.Error` where the bus does not answer."""

    def __init__(self, bus: Bus) -> None:
        self._objects = Objects(bus, "blobs")

    async def send(
        self, file: FileBytes, *, on_bytes: OnBytes = unheard, part_bytes: int = PART_BYTES
    ) -> Sent:
        """Store a file's missing parts, then its manifest: a file that has one is whole.

        Raises:
            StoreFullError: what was stored until then stays, and is not sent again.
        """
        manifest = await asyncio.to_thread(file.manifest, part_bytes)
        limit, sent = asyncio.Semaphore(AT_ONCE), 0

        async def send_part(sha256: str, places: Sequence[int]) -> None:
            nonlocal sent
            size = manifest.part_length(places[0])
            async with limit:
                if await self._objects.size(part_name(sha256)) != size:
                    start = places[0] * manifest.part_bytes
                    await self._objects.put(part_name(sha256), bytes(file.data[start : start + size]))
                    sent += size
            on_bytes(size * len(places))

        places = _places(manifest)
        await _together(send_part(sha256, places[sha256]) for sha256 in places)
        if await self._objects.size(manifest_name(manifest.sha256)) is None:
            await self._objects.put(manifest_name(manifest.sha256), encode(manifest))
        return Sent(
            file=StoredFile(name=file.name, sha256=manifest.sha256, size_bytes=manifest.size_bytes),
            sent_bytes=sent,
        )

    async def mend(self, file: FileBytes, *, on_bytes: OnBytes = unheard) -> int:
        """Put right what the store has of a file, which may be nothing: all of it is read, what differs sent.

        Returns the bytes that were sent.

        Raises:
            StoreFullError: what was sent until then stays.
        """
        stored = file.stored()
        try:
            known = await self.manifest(stored)
        except FileMissingError:
            known = None
        manifest = await asyncio.to_thread(file.manifest, known.part_bytes if known else PART_BYTES)
        sent = 0
        for sha256, places in _places(manifest).items():
            start, size = places[0] * manifest.part_bytes, manifest.part_length(places[0])
            data = bytes(file.data[start : start + size])
            if await self._objects.get(part_name(sha256), limit_bytes=MAX_PART_BYTES) != data:
                await self._objects.put(part_name(sha256), data)
                sent += size
            on_bytes(size * len(places))
        if known != manifest:
            await self._objects.put(manifest_name(manifest.sha256), encode(manifest))
        return sent

    async def manifest(self, file: StoredFile) -> BlobManifest:
        """Of which parts a stored file consists.

        Raises:
            FileMissingError: it has no manifest, or one that is not its.
        """
        data = await self._objects.get(manifest_name(file.sha256), limit_bytes=MANIFEST_BYTES)
        if data is None:
            raise _missing(file, "it has no list of parts")
        try:
            manifest = decode(BlobManifest, data)
        except MalformedMessageError as error:
            raise _missing(file, f"its list of parts cannot be read ({error})") from error
        if (manifest.sha256, manifest.size_bytes) != (file.sha256, file.size_bytes):
            raise _missing(
                file,
                f"its list of parts is of {manifest.size_bytes} bytes with digest {manifest.sha256[:12]}, "
                f"and the record says {file.size_bytes} bytes",
            )
        return manifest

    async def fetch(self, file: StoredFile, target: Path, *, on_bytes: OnBytes = unheard) -> None:
        """Write a stored file to `target`, several parts at once, and check every byte.

        What lies at `target` from a fetch that was cut is kept where its digests are right. A file that is
        there when this returns is whole, on disk, and what its digest says.

        Raises:
            FileMissingError: the store lacks a part, or has other bytes.
            OSError: the disk does not take it.
        """
        manifest = await self.manifest(file)
        limit = asyncio.Semaphore(AT_ONCE)
        handle, begun = await asyncio.to_thread(_open, target, manifest.size_bytes)
        try:

            async def fetch_part(index: int) -> None:
                async with limit:
                    if not (begun and await asyncio.to_thread(_is_there, handle, manifest, index)):
                        data = await self._fetch_part(file, manifest, index)
                        await asyncio.to_thread(_write, handle, data, index * manifest.part_bytes)
                on_bytes(manifest.part_length(index))

            await _together(fetch_part(index) for index in range(len(manifest.parts)))
            found = await asyncio.to_thread(_finish, handle)
        finally:
            os.close(handle)
        if found != file.sha256:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            raise _missing(file, f"its parts make a file with digest {found[:12]}")

    async def read(self, file: StoredFile, *, limit_bytes: int) -> bytes:
        """A small file's bytes, checked.

        Raises:
            FileMissingError: the store lacks it, has other bytes, or it has more than `limit_bytes`.
        """
        if file.size_bytes > limit_bytes:
            raise _missing(file, f"it has {file.size_bytes} bytes, more than {limit_bytes}")
        manifest = await self.manifest(file)
        data = b"".join(
            [await self._fetch_part(file, manifest, index) for index in range(len(manifest.parts))]
        )
        if _sha256(data) != file.sha256:
            raise _missing(file, f"its parts make a file with digest {_sha256(data)[:12]}")
        return data

    async def check(self, file: StoredFile, *, on_bytes: OnBytes = unheard) -> None:
        """Read a stored file and compare its digests; nothing is written.

        Raises:
            FileMissingError: the store lacks a part, or has other bytes.
        """
        manifest = await self.manifest(file)
        whole = hashlib.sha256()
        for index in range(len(manifest.parts)):
            data = await self._fetch_part(file, manifest, index)
            await asyncio.to_thread(whole.update, data)
            on_bytes(len(data))
        if whole.hexdigest() != file.sha256:
            raise _missing(file, f"its parts make a file with digest {whole.hexdigest()[:12]}")

    async def _fetch_part(self, file: StoredFile, manifest: BlobManifest, index: int) -> bytes:
        wanted = manifest.parts[index]
        data = await self._objects.get(part_name(wanted), limit_bytes=MAX_PART_BYTES)
        place = f"part {index + 1} of {len(manifest.parts)}"
        if data is None:
            raise _missing(file, f"{place} is missing")
        if len(data) != manifest.part_length(index) or await asyncio.to_thread(_sha256, data) != wanted:
            raise _missing(file, f"{place} has other bytes than its digest says")
        return data


def part_name(sha256: str) -> str:
    """Of a part's object, by the digest of its bytes."""
    return f"part/{sha256}"


def manifest_name(sha256: str) -> str:
    """Of the object that lists a file's parts."""
    return f"file/{sha256}"


def _missing(file: StoredFile, reason: str) -> FileMissingError:
    return FileMissingError(file=file.name, sha256=file.sha256, reason=reason)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _places(manifest: BlobManifest) -> dict[str, list[int]]:
    """Where each part stands: one that stands twice, as zeros may, is sent once."""
    places: dict[str, list[int]] = {}
    for index, sha256 in enumerate(manifest.parts):
        places.setdefault(sha256, []).append(index)
    return places


async def _together(work: Iterable[Coroutine[object, object, None]]) -> None:
    """All of it; where one fails the rest is ended, and the first failure raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _open(target: Path, size_bytes: int) -> tuple[int, bool]:
    """A handle to a file of that size, and whether something was written to it before."""
    # Not through a link that somebody put there, and for this user alone until it is whole.
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        begun = os.fstat(handle).st_size > 0
        os.ftruncate(handle, size_bytes)
    except BaseException:
        os.close(handle)
        raise
    return handle, begun


def _is_there(handle: int, manifest: BlobManifest, index: int) -> bool:
    """Whether an earlier fetch has written the part."""
    data = os.pread(handle, manifest.part_length(index), index * manifest.part_bytes)
    return _sha256(data) == manifest.parts[index]


def _write(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _finish(handle: int) -> str:
    """The digest of what is on disk now."""
    os.fsync(handle)
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
