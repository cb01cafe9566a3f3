"""`adapters verify --repair` and `adapters sweep` (D2, D6): what is damaged is mended, and nobody's goes."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lorayard import AdapterRefusedError, Client, FileMissingError, InvalidRequestError
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_schemas.semantic import SEMANTIC_KEY, SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.blobs import BlobStore, FileBytes
from lorayard_shared.registry.inventory import take_inventory
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ANA = Author(actor="ana")


@pytest.fixture
def objects(bus: Bus) -> Objects:
    return Objects(bus, "blobs")


async def command(settings: YardSettings, *arguments: str) -> int:
    where = ["--url", settings.url, "--prefix", settings.prefix]
    return await asyncio.to_thread(run_command, ["adapters", *arguments, *where])


async def names(bus: Bus) -> set[str]:
    return {one.name for one in (await take_inventory(bus)).objects}


def file_of(record: AdapterRecord, name: str = WEIGHTS) -> StoredFile:
    return next(file for file in record.files if file.name == name)


async def part_of(bus: Bus, file: StoredFile) -> str:
    return f"part/{(await BlobStore(bus).manifest(file)).parts[0]}"


async def test_missing_and_damaged_parts_and_lists_are_put_right_from_the_folder__d2(
    client: Client, settings: YardSettings, folder: Path, bus: Bus, objects: Objects, tmp_path: Path
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    other = make_tiny_adapter(tmp_path / "other", seed=2)
    await client.adapters.push(other, name=NAME, version="2")
    weights, config = file_of(record), file_of(record, CONFIG)
    await objects.put(await part_of(bus, weights), bytes(weights.size_bytes))  # of its full size
    await objects.remove(await part_of(bus, config))
    report = await client.adapters.repair(folder)
    assert report.sound
    assert {file.name for file in report.mended} == {CONFIG, WEIGHTS}
    assert report.sent_bytes == weights.size_bytes + config.size_bytes
    for broken in (b"", b"no list"):
        await objects.put(f"file/{weights.sha256}", broken)
        report = await client.adapters.repair(folder, f"{NAME}@1")
        assert (report.sound, report.sent_bytes) == (True, 0)  # all parts were there
    copy = tmp_path / "copy"
    await client.adapters.pull(f"{NAME}@1", copy)
    assert (copy / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()


async def test_another_folder_mends_nothing_and_nothing_else_of_it_is_sent__d2(
    client: Client,
    settings: YardSettings,
    folder: Path,
    bus: Bus,
    objects: Objects,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    await objects.remove(await part_of(bus, file_of(record)))
    before = await names(bus)
    other = make_tiny_adapter(tmp_path / "other", seed=2)
    assert await command(settings, "verify", "--repair", str(other)) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "part 1 of 1 is missing" in told.out
    assert "--repair DIR" in told.err
    assert f"nothing in {other} has the bytes of what is wrong" in told.err
    assert await names(bus) == before
    assert await command(settings, "verify", f"{NAME}@1", "--repair", str(folder), "--json") == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["sound"], [file["name"] for file in said["mended"]]) == (True, [WEIGHTS])
    with pytest.raises(AdapterRefusedError, match="there is no such folder"):
        await client.adapters.repair(tmp_path / "missing")


async def test_what_nothing_names_goes_and_what_a_version_or_a_classifier_names_stays__d2_d6(
    client: Client, folder: Path, bus: Bus, tmp_path: Path
) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    store = BlobStore(bus)
    artifact = (await store.send(FileBytes(name="head.safetensors", data=memoryview(b"h" * 5000)))).file
    before = SemanticRecord(artifact="sha256:" + "1" * 64, files=(artifact,))
    await SemanticStore(bus).put(before, ANA)
    await SemanticStore(bus).turn_off(ANA)  # one may return to it
    needed = await names(bus)
    left = make_tiny_adapter(tmp_path / "left", seed=2, rank=4)
    gone = (await client.adapters.push(left, name=NAME, version="2")).record
    await Records(bus).remove(await Records(bus).get(NAME, "2"), ANA)  # its parts stay, as after a cut
    orphans = await names(bus) - needed
    assert len(orphans) >= 4
    young = await client.adapters.sweep()
    assert (young.objects, young.freed_bytes, young.young) == ((), 0, len(orphans))
    tried = await client.adapters.sweep(older_than_seconds=0.0, dry_run=True)
    assert set(tried.objects) == orphans == await names(bus) - needed
    done = await client.adapters.sweep(older_than_seconds=0.0)
    assert (set(done.objects), done.freed_bytes) == (orphans, tried.freed_bytes)
    assert await names(bus) == needed
    assert [check.sound for check in await client.adapters.verify()] == [True]
    with pytest.raises(FileMissingError):
        await store.check(file_of(gone))
    await store.check(artifact)


async def test_chunks_of_a_part_that_never_became_whole_go_too__d2(
    client: Client, settings: YardSettings, folder: Path, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """A publisher that is killed within a part leaves them; no name leads to them."""
    await client.adapters.push(folder, name=NAME, version="1")
    bucket = bus.subjects.bucket("blobs")
    for _ in range(3):
        await bus.js.publish(f"$O.{bucket}.C.CUTINTHEMIDDLE", b"x" * 1000)
    (piece,) = (await take_inventory(bus)).pieces
    assert piece.nuid == "CUTINTHEMIDDLE"
    await command(settings, "sweep")
    assert "0 objects and 0 unfinished pieces are removed" in capsys.readouterr().out
    await command(settings, "sweep", "--older-than", "0", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["pieces"] == 1
    await command(settings, "sweep", "--older-than", "0")
    assert "1 unfinished pieces are removed" in capsys.readouterr().out
    assert (await take_inventory(bus)).pieces == ()
    assert [check.sound for check in await client.adapters.verify()] == [True]


async def test_objects_of_others_in_the_store_are_left_alone__g3(
    client: Client, bus: Bus, objects: Objects
) -> None:
    await objects.put("notes.txt", b"mine")
    await client.adapters.sweep(older_than_seconds=0.0)
    assert await objects.get("notes.txt", limit_bytes=100) == b"mine"
    for age in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidRequestError, match="seconds"):
            await client.adapters.sweep(older_than_seconds=age)


async def test_nothing_is_swept_while_a_record_cannot_be_read__g3(
    client: Client, settings: YardSettings, folder: Path, bus: Bus
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    await bucket.put(record.key, b"of a newer peer")
    before = await names(bus)
    assert await command(settings, "sweep", "--older-than", "0") != ExitCode.OK
    assert await names(bus) == before
    await bucket.delete(record.key)
    rules = await bus.js.key_value(bus.subjects.bucket("rules"))
    await rules.put(SEMANTIC_KEY, b"of a newer peer")
    assert await command(settings, "sweep", "--older-than", "0") != ExitCode.OK
    assert await names(bus) == before


async def test_a_push_that_takes_longer_than_that_sends_again_what_was_swept__d2(
    client: Client, settings: YardSettings, folder: Path, bus: Bus
) -> None:
    """It has found the parts of one that was cut, and its record is not written yet."""
    (folder / "prompt_template.txt").write_text("{prompt}!")
    first = (await client.adapters.push(folder, name=NAME, version="1")).record
    await Records(bus).remove(await Records(bus).get(NAME, "1"), ANA)
    left, swept = [sum(file.size_bytes for file in first.files)], list[int]()

    async def sweep() -> None:
        async with Client(settings=settings) as other:
            swept.append(len((await other.adapters.sweep(older_than_seconds=0.0)).objects))

    def on_bytes(size_bytes: int) -> None:
        left[0] -= size_bytes
        if left[0] == 0:  # all was found: now it goes, while the push stands still
            with ThreadPoolExecutor() as pool:
                pool.submit(asyncio.run, sweep()).result()

    await client.adapters.push(folder, name=NAME, version="2", on_bytes=on_bytes)
    assert swept[0] >= len(first.files)
    assert [check.sound for check in await client.adapters.verify()] == [True]


async def test_nothing_is_swept_while_nobody_knows_what_a_version_needs__d2(
    client: Client, folder: Path, bus: Bus, objects: Objects
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    await objects.remove(f"file/{file_of(record).sha256}")
    with pytest.raises(FileMissingError, match="no list of parts"):
        await client.adapters.sweep(older_than_seconds=0.0)
    report = await client.adapters.repair(folder)
    assert (report.sound, report.sent_bytes) == (True, 0)  # its parts stayed
    assert (await client.adapters.sweep(older_than_seconds=0.0)).objects == ()
