"""Files in the object store (D2): sent once, in parts, resumed after a cut, verified before they are used."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats.errors
import pytest

from lorayard_schemas.adapter import StoredFile
from lorayard_schemas.blob import BlobManifest
from lorayard_schemas.codec import encode
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.object_writes import CHUNK_BYTES
from lorayard_shared.registry.blobs import BlobStore, FileBytes
from lorayard_shared.registry.errors import FileMissingError, StoreFullError
from lorayard_shared.registry.objects import Objects
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

PART = 1024
"""Small, so that a few kilobytes have many parts."""


class CutError(Exception):
    """The publisher's process ends here."""


def file(parts: int = 6, *, seed: int = 1) -> FileBytes:
    data = hashlib.shake_256(bytes([seed])).digest(parts * PART - 100)
    return FileBytes(name="adapter_model.safetensors", data=memoryview(data))


async def names(bus: Bus) -> list[str]:
    """Of all objects in the store."""
    store = await bus.js.object_store(bus.subjects.bucket("blobs"))
    return sorted(info.name or "" for info in await store.list())


async def test_a_file_comes_back_as_it_was__d2(bus: Bus, tmp_path: Path) -> None:
    store, given = BlobStore(bus), file()
    sent = await store.send(given, part_bytes=PART)
    await store.fetch(sent.file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == given.data
    assert sent.sent_bytes == sent.file.size_bytes == len(given.data)
    assert sent.file.sha256 == hashlib.sha256(given.data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 3 * CHUNK_BYTES + 1])
async def test_files_of_any_size_come_back(bus: Bus, tmp_path: Path, size: int) -> None:
    store, given = BlobStore(bus), FileBytes(name="f", data=memoryview(os.urandom(size)))
    sent = await store.send(given, part_bytes=max(PART, size))
    await store.fetch(sent.file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == given.data


async def test_what_the_store_has_is_not_sent_again__d2(bus: Bus) -> None:
    store = BlobStore(bus)
    await store.send(file(), part_bytes=PART)
    assert (await store.send(file(), part_bytes=PART)).sent_bytes == 0


async def test_parts_that_two_files_share_are_sent_once(bus: Bus) -> None:
    store, first = BlobStore(bus), file()
    changed = bytearray(first.data)
    changed[3 * PART] ^= 1
    await store.send(first, part_bytes=PART)
    sent = await store.send(FileBytes(name="g", data=memoryview(changed)), part_bytes=PART)
    assert sent.sent_bytes == PART


async def test_a_part_that_stands_twice_in_a_file_is_sent_once(bus: Bus, tmp_path: Path) -> None:
    store, given, heard = BlobStore(bus), FileBytes(name="f", data=memoryview(bytes(5 * PART))), list[int]()
    sent = await store.send(given, part_bytes=PART, on_bytes=heard.append)
    await store.fetch(sent.file, tmp_path / "copy")
    assert sent.sent_bytes == PART
    assert sum(heard) == 5 * PART
    assert (tmp_path / "copy").read_bytes() == given.data


@pytest.mark.parametrize("parts_before", range(6))
async def test_a_push_that_was_cut_goes_on_where_it_ended__d2(bus: Bus, parts_before: int) -> None:
    """Cut after each number of whole parts: what went whole is not sent again."""
    store, given, heard = BlobStore(bus), file(), list[int]()

    def cut(size_bytes: int) -> None:
        heard.append(size_bytes)
        if len(heard) > parts_before:
            raise CutError

    with pytest.raises(CutError):
        await store.send(given, part_bytes=PART, on_bytes=cut)
    whole = [name for name in await names(bus) if name.startswith("part/")]
    assert len(whole) > parts_before
    assert not [name for name in await names(bus) if name.startswith("file/")]
    sent = await store.send(given, part_bytes=PART)
    again = BlobStore(bus)
    assert sent.sent_bytes <= len(given.data) - parts_before * PART
    await again.check(sent.file)


async def test_a_part_that_was_cut_between_two_chunks_is_sent_again(bus: Bus, tmp_path: Path) -> None:
    """Its chunks may lie in the store, but no description: so it is not there."""
    subject = f"$O.{bus.subjects.bucket('blobs')}.C.half"
    await bus.js.publish(subject, b"x" * PART)
    store = BlobStore(bus)
    sent = await store.send(file(1), part_bytes=PART)
    await store.fetch(sent.file, tmp_path / "copy")
    assert sent.sent_bytes == sent.file.size_bytes


async def test_a_fetch_that_was_cut_reads_only_what_is_missing__d2(bus: Bus, tmp_path: Path) -> None:
    store, given, heard = BlobStore(bus), file(), list[int]()
    sent = await store.send(given, part_bytes=PART)

    def cut(size_bytes: int) -> None:
        heard.append(size_bytes)
        if len(heard) == 3:
            raise CutError

    with pytest.raises(CutError):
        await store.fetch(sent.file, tmp_path / "copy", on_bytes=cut)
    before = bus.nc.stats["in_bytes"]
    await store.fetch(sent.file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == given.data
    assert bus.nc.stats["in_bytes"] - before < 5 * PART + 2000, "the three parts on disk were read again"


async def test_what_lies_at_the_target_is_not_believed(bus: Bus, tmp_path: Path) -> None:
    store, given = BlobStore(bus), file()
    sent = await store.send(given, part_bytes=PART)
    (tmp_path / "copy").write_bytes(os.urandom(20 * PART))
    await store.fetch(sent.file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == given.data


async def test_a_link_at_the_target_is_not_followed__g5(bus: Bus, tmp_path: Path) -> None:
    store = BlobStore(bus)
    sent = await store.send(file(), part_bytes=PART)
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "copy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        await store.fetch(sent.file, tmp_path / "copy")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


async def _lose_part(bus: Bus, manifest: BlobManifest) -> None:
    await Objects(bus, "blobs").remove(f"part/{manifest.parts[1]}")


async def _lose_manifest(bus: Bus, manifest: BlobManifest) -> None:
    await Objects(bus, "blobs").remove(f"file/{manifest.sha256}")


async def _other_bytes(bus: Bus, manifest: BlobManifest) -> None:
    await Objects(bus, "blobs").put(f"part/{manifest.parts[1]}", bytes(PART))


async def _longer_part(bus: Bus, manifest: BlobManifest) -> None:
    """Sound by its digest, but it would be written over its neighbours."""
    longer = os.urandom(3 * PART)
    digest = hashlib.sha256(longer).hexdigest()
    parts = (manifest.parts[0], digest, *manifest.parts[2:])
    await Objects(bus, "blobs").put(f"part/{digest}", longer)
    await Objects(bus, "blobs").put(
        f"file/{manifest.sha256}", encode(manifest.model_copy(update={"parts": parts}))
    )


async def _lose_chunk(bus: Bus, manifest: BlobManifest) -> None:
    store = await bus.js.object_store(bus.subjects.bucket("blobs"))
    info = await store.get_info(f"part/{manifest.parts[1]}")
    stream = f"OBJ_{bus.subjects.bucket('blobs')}"
    await bus.js.purge_stream(stream, subject=f"$O.{bus.subjects.bucket('blobs')}.C.{info.nuid}")


async def _no_manifest(bus: Bus, manifest: BlobManifest) -> None:
    await Objects(bus, "blobs").put(f"file/{manifest.sha256}", b"nothing of the kind")


async def _manifest_of_other_size(bus: Bus, manifest: BlobManifest) -> None:
    longer = manifest.model_copy(
        update={"size_bytes": manifest.size_bytes + PART, "parts": (*manifest.parts, manifest.parts[0])}
    )
    await Objects(bus, "blobs").put(f"file/{manifest.sha256}", encode(longer))


async def _manifest_of_other_parts(bus: Bus, manifest: BlobManifest) -> None:
    swapped = (manifest.parts[1], manifest.parts[0], *manifest.parts[2:])
    await Objects(bus, "blobs").put(
        f"file/{manifest.sha256}", encode(manifest.model_copy(update={"parts": swapped}))
    )


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_lose_part, "part 2 of 6 is missing"),
        (_lose_chunk, "part 2 of 6 is missing"),
        (_other_bytes, "part 2 of 6 has other bytes"),
        (_longer_part, "part 2 of 6 has other bytes"),
        (_lose_manifest, "it has no list of parts"),
        (_no_manifest, "its list of parts cannot be read"),
        (_manifest_of_other_size, "and the record says"),
        (_manifest_of_other_parts, "its parts make a file with digest"),
    ],
)
async def test_a_damaged_store_is_found_out_before_a_file_is_used__d2_g3(
    bus: Bus, tmp_path: Path, harm: Callable[[Bus, BlobManifest], Awaitable[None]], reason: str
) -> None:
    store = BlobStore(bus)
    sent = await store.send(file(), part_bytes=PART)
    await harm(bus, await store.manifest(sent.file))
    with pytest.raises(FileMissingError, match=reason):
        await store.fetch(sent.file, tmp_path / "copy")
    with pytest.raises(FileMissingError, match=reason):
        await store.check(sent.file)


async def test_what_was_lost_is_sent_anew(bus: Bus) -> None:
    store = BlobStore(bus)
    sent = await store.send(file(), part_bytes=PART)
    await _lose_part(bus, await store.manifest(sent.file))
    assert (await store.send(file(), part_bytes=PART)).sent_bytes == PART
    await store.check(sent.file)


async def test_a_full_store_says_so_and_keeps_what_it_has__g2(
    make_settings: Callable[..., Awaitable[YardSettings]],
) -> None:
    settings = await make_settings(blobs_max_bytes=1 << 20)
    async with await connect(settings, name="test") as bus:
        given = FileBytes(name="f", data=memoryview(os.urandom(2 << 20)))
        with pytest.raises(StoreFullError, match=r"`lorayard adapters rm`.*is not sent again"):
            await BlobStore(bus).send(given, part_bytes=128 * 1024)
        assert [name for name in await names(bus) if name.startswith("part/")]
        stored = FileBytes(name="f", data=given.data[: 128 * 1024])
        assert (await BlobStore(bus).send(stored, part_bytes=128 * 1024)).sent_bytes == 0


async def test_two_publishers_of_one_file_do_not_harm_each_other(bus: Bus, tmp_path: Path) -> None:
    stores, given = [BlobStore(bus) for _ in range(3)], file()
    (sent, *_) = await asyncio.gather(*(store.send(given, part_bytes=PART) for store in stores))
    await stores[0].fetch(sent.file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == given.data


async def test_reading_leaves_no_consumer_behind(bus: Bus) -> None:
    """A server holds so many for each stream, and nats-py's own reader leaves one for each object."""
    store = BlobStore(bus)
    sent = await store.send(file(), part_bytes=PART)
    await store.check(sent.file)
    info = await bus.api(f"STREAM.INFO.OBJ_{bus.subjects.bucket('blobs')}")
    assert info["state"]["consumer_count"] == 0


async def test_a_store_that_is_not_declared_answers_with_an_error(bus_url: str) -> None:
    async with await connect(YardSettings(url=bus_url, prefix="nowhere"), name="test") as bus:
        with pytest.raises(nats.errors.Error):
            await BlobStore(bus).manifest(StoredFile(name="f", sha256="0" * 64, size_bytes=1))
