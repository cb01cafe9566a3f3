"""`adapters verify` (D2) and `show`: what the store has is compared with what its records say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lorayard import Client, VersionUnknownError
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.adapter import AdapterRecord, AdapterState, StoredFile
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.codec import encode
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.blobs import BlobStore
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

NAME, OTHER = "acme/tiny/echo", "acme/tiny/other"
WEIGHTS = "adapter_model.safetensors"


async def verify(settings: YardSettings, *arguments: str) -> int:
    where = ["--url", settings.url, "--prefix", settings.prefix]
    return await asyncio.to_thread(run_command, ["adapters", "verify", *arguments, *where])


def weights_of(record: AdapterRecord) -> StoredFile:
    return next(file for file in record.files if file.name == WEIGHTS)


async def test_what_was_pushed_is_sound_and_every_byte_is_told__d2(client: Client, folder: Path) -> None:
    report = await client.adapters.push(folder, name=NAME, version="1")
    (folder / "prompt_template.txt").write_text("{prompt}!")
    await client.adapters.push(folder, name=NAME, version="2")
    sizes, heard = list[int](), list[int]()
    one, two = await client.adapters.verify(NAME, on_size=sizes.append, on_bytes=heard.append)
    assert (one.record.version, two.record.version) == ("1", "2")
    assert one.sound
    assert two.sound
    # What both have is read once.
    assert sizes == [sum(heard)] == [report.size_bytes + len("{prompt}!")]


async def test_a_missing_part_and_other_bytes_are_found_in_their_version_alone__d2(
    client: Client, folder: Path, tmp_path: Path, bus: Bus
) -> None:
    cut = weights_of((await client.adapters.push(folder, name=NAME, version="1")).record)
    changed_folder = make_tiny_adapter(tmp_path / "second", seed=2)
    changed = weights_of((await client.adapters.push(changed_folder, name=NAME, version="2")).record)
    await client.adapters.push(make_tiny_adapter(tmp_path / "third", seed=3), name=OTHER, version="1")
    objects = Objects(bus, "blobs")
    (part,) = (await BlobStore(bus).manifest(cut)).parts
    await objects.remove(f"part/{part}")
    (part,) = (await BlobStore(bus).manifest(changed)).parts
    await objects.put(f"part/{part}", bytes(changed.size_bytes))
    checks = await client.adapters.verify()
    faults = {
        check.record.label: {one.file.name: one.fault for one in check.files if one.fault} for check in checks
    }
    assert faults == {
        f"{NAME}@1": {WEIGHTS: "part 1 of 1 is missing"},
        f"{NAME}@2": {WEIGHTS: "part 1 of 1 has other bytes than its digest says"},
        f"{OTHER}@1": {},
    }
    assert [check.record.label for check in checks if check.sound] == [f"{OTHER}@1"]


async def test_the_command_tells_what_is_wrong_by_its_exit_code__g9(
    client: Client, settings: YardSettings, folder: Path, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    assert await verify(settings) == ExitCode.OK
    assert f"{NAME}@1: sound, 2 files" in capsys.readouterr().out
    await Objects(bus, "blobs").remove(f"file/{weights_of(record).sha256}")
    assert await verify(settings, f"{NAME}@1") == ExitCode.FAILED
    told = capsys.readouterr()
    assert f"{NAME}@1: {WEIGHTS}: it has no list of parts" in told.out
    assert "--repair" in told.err
    assert await verify(settings, "--json") == ExitCode.FAILED
    said = json.loads(capsys.readouterr().out)
    assert said["sound"] is False
    assert {file["name"]: file["fault"] for file in said["adapters"][0]["files"]} == {
        "adapter_config.json": None,
        WEIGHTS: "it has no list of parts",
    }
    await client.adapters.push(folder, name=NAME, version="1")
    assert await verify(settings) == ExitCode.OK


async def test_what_only_workers_have_is_said_and_is_no_fault(
    client: Client, settings: YardSettings, folder: Path, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    local = record.model_copy(update={"name": OTHER, "files": ()})
    await Records(bus).create(local, Author(actor="w1"))
    assert await verify(settings) == ExitCode.OK
    told = capsys.readouterr()
    assert f"{OTHER}@1: nothing of it is in the store" in told.err
    assert OTHER not in told.out


async def test_a_version_that_is_not_there_is_said(client: Client, settings: YardSettings) -> None:
    for spec in (NAME, f"{NAME}@7"):
        with pytest.raises(VersionUnknownError, match=spec):
            await client.adapters.verify(spec)
    assert await verify(settings, NAME) == ExitCode.UNKNOWN_ADAPTER
    assert await verify(settings) == ExitCode.OK


async def test_show_tells_all_of_a_record_in_80_columns__d1(
    client: Client, settings: YardSettings, folder: Path, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"task": "echo", "long": "many words " * 20}
    record = (await client.adapters.push(folder, name=NAME, version="1", labels=said, tenants=["t1"])).record
    await Records(bus).move(NAME, "1", AdapterState.ARCHIVED, Author(actor="ana", reason="old"), verb="test")
    alias = AliasRecord(adapter=NAME, alias="stable", revision=1, arms=(Arm(version="1", weight=100.0),))
    bucket = await bus.js.key_value(bus.subjects.bucket("aliases"))
    await bucket.put(alias_key(NAME, "stable"), encode(alias))
    where = ["--url", settings.url, "--prefix", settings.prefix]
    assert await asyncio.to_thread(run_command, ["adapters", "show", f"{NAME}@1", *where]) == ExitCode.OK
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for part in ("archived", "by ana: old", "task=echo", "t1", f"{NAME}@stable (100 %)", "rank 8", WEIGHTS):
        assert part in told
    assert record.digest.partition(":")[2] in told
    show = ["adapters", "show", NAME, "--json", *where]
    assert await asyncio.to_thread(run_command, show) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["record"]["digest"] == record.digest
    assert [one["alias"] for one in document["aliases"]] == ["stable"]
