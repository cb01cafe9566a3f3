"""Push and pull (D2): a folder is judged before a byte is sent, and comes back as it was, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lorayard import (
    AdapterRefusedError,
    AdapterState,
    Client,
    FileMissingError,
    InvalidRequestError,
    SyncClient,
    VersionTakenError,
    VersionUnknownError,
    YardNotReadyError,
)
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.objects import Objects
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


async def stored_messages(bus: Bus) -> int:
    info = await bus.api(f"STREAM.INFO.OBJ_{bus.subjects.bucket('blobs')}")
    return int(info["state"]["messages"])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_what_is_pushed_is_pulled_as_it_was__d2(client: Client, folder: Path, tmp_path: Path) -> None:
    pushed = await client.adapters.push(folder, name=NAME, version="1")
    pulled = await client.adapters.pull(f"{NAME}@1", tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)
    assert pulled == pushed.record
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


async def test_a_pushed_version_says_what_it_is_and_serves_nobody_yet__d1(
    client: Client, folder: Path, bus: Bus
) -> None:
    (folder / "prompt_template.txt").write_text("Q: {prompt}\nA:")
    report = await client.adapters.push(
        folder, name=NAME, version="1", labels={"task": "echo"}, tenants=["t2", "t1"], reason="first"
    )
    (record,) = await client.adapters()
    assert record == report.record
    assert (record.state, record.rank, record.alpha) == (AdapterState.PUSHED, 8, 16.0)
    assert (record.labels, record.tenants, record.base_digest) == ({"task": "echo"}, ("t1", "t2"), None)
    assert record.prompt_template == "Q: {prompt}\nA:"
    assert {file.name: file.sha256 for file in record.files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in contents(folder).items()
    }
    message = await bus.js.get_msg(
        bus.subjects.stream("audit"), subject=bus.subjects.registry_audit("adapters", NAME, "1"), direct=True
    )
    told = decode(RegistryChange, message.data or b"")
    assert (told.verb, told.reason, told.after) == ("push", "first", "pushed")
    assert "@" in told.actor


async def test_pushing_again_sends_nothing_and_changes_nothing__d2(client: Client, folder: Path) -> None:
    first = await client.adapters.push(folder, name=NAME, version="1", labels={"a": "b"})
    again = await client.adapters.push(folder, name=NAME, version="1")
    assert (first.sent_bytes, first.existing) == (first.size_bytes, False)
    assert (again.sent_bytes, again.existing, again.record) == (0, True, first.record)


async def test_a_new_version_sends_only_what_differs__d2(client: Client, folder: Path) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    (folder / "prompt_template.txt").write_text("{prompt}!")
    report = await client.adapters.push(folder, name=NAME, version="2")
    assert report.sent_bytes == len("{prompt}!")


async def test_one_version_with_other_weights_is_refused_before_a_byte_is_sent__d1(
    client: Client, folder: Path, tmp_path: Path, bus: Bus
) -> None:
    first = await client.adapters.push(folder, name=NAME, version="1")
    before = await stored_messages(bus)
    other = make_tiny_adapter(tmp_path / "other", seed=2)
    with pytest.raises(VersionTakenError) as caught:
        await client.adapters.push(other, name=NAME, version="1")
    assert first.record.digest in str(caught.value)
    assert caught.value.given != first.record.digest
    assert caught.value.given in str(caught.value)
    assert await stored_messages(bus) == before
    assert (await client.adapters.find(f"{NAME}@1")) == first.record


async def test_one_version_with_the_same_weights_in_other_files_is_refused(
    client: Client, folder: Path, bus: Bus
) -> None:
    """Its digest is the same; but whoever pulls it would get something else."""
    await client.adapters.push(folder, name=NAME, version="1")
    before = await stored_messages(bus)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(
        VersionTakenError, match=rf"with {CONFIG} [0-9a-f]{{64}}.*with {CONFIG} [0-9a-f]{{64}}"
    ):
        await client.adapters.push(folder, name=NAME, version="1")
    assert await stored_messages(bus) == before


@pytest.mark.parametrize("said", [{"tenants": ["t1"]}, {"labels": {"a": "b"}}])
async def test_a_push_that_would_say_something_else_of_a_version_is_not_silent(
    client: Client, folder: Path, said: dict[str, list[str]]
) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    with pytest.raises(InvalidRequestError, match=next(iter(said))):
        await client.adapters.push(folder, name=NAME, version="1", **said)  # type: ignore[arg-type]  # one of two


def _pickle(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


def _cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:-1])


def _padded(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"\0")


def _header_lies(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes((2**62).to_bytes(8, "little") + data[8:])


def _link_out(folder: Path) -> None:
    (folder.parent / "secret").write_text("{prompt} my key")
    (folder / "prompt_template.txt").symlink_to(folder.parent / "secret")


def _link_in_a_circle(folder: Path) -> None:
    (folder / "prompt_template.txt").symlink_to(folder / "prompt_template.txt")


def _no_rank(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "r": 0}))


def _no_alpha(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    del config["lora_alpha"]
    (folder / CONFIG).write_text(json.dumps(config))


def _self_check_lies(folder: Path) -> None:
    (folder / "self_check.json").write_text('{"expectations": [{"prompt": "a"}]}')


def _self_check_bomb(folder: Path) -> None:
    (folder / "self_check.json").write_text(" " * 300_000 + "{}")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "self_check.json")


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_pickle, r"adapter_model\.bin is a pickle"),
        (_cut, "damaged"),
        (_padded, "damaged"),
        (_header_lies, "damaged"),
        (_link_out, r"prompt_template\.txt is a link that leads outside the folder"),
        (_link_in_a_circle, "cannot be read"),
        (_no_rank, r"adapter_config\.json: r: "),
        (_no_alpha, r"adapter_config\.json: lora_alpha: "),
        (_self_check_lies, r"self_check\.json: expectations\.0: .*text or token_ids is needed"),
        (_self_check_bomb, r"self_check\.json has 300002 bytes, more than 262144"),
        (_pipe, r"self_check\.json is not a regular file"),
        (_gone, "there is no such folder"),
    ],
)
async def test_a_bad_folder_is_refused_before_a_byte_is_sent__d3_g5(
    client: Client, folder: Path, bus: Bus, harm: Callable[[Path], None], reason: str
) -> None:
    harm(folder)
    with pytest.raises(AdapterRefusedError, match=reason):
        await client.adapters.push(folder, name=NAME, version="1")
    assert await stored_messages(bus) == 0
    assert await client.adapters() == []


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "../../etc"}, "name"),
        ({"name": "acme/tiny"}, "name"),
        ({"name": "base"}, "name"),
        ({"version": "../1"}, "version"),
        ({"version": ""}, "version"),
        ({"labels": {"UPPER": "x"}}, "labels"),
        ({"labels": {"a": "x" * 300}}, "labels"),
        ({"tenants": [""]}, "tenants"),
    ],
)
async def test_a_name_that_leads_elsewhere_is_refused__g5(
    client: Client, folder: Path, said: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.adapters.push(folder, **{"name": NAME, "version": "1", **said})  # type: ignore[arg-type]  # one of several
    assert caught.value.field == field
    assert await client.adapters() == []


async def test_nothing_else_of_a_folder_travels__g5(client: Client, folder: Path, tmp_path: Path) -> None:
    (folder / "train.py").write_text("import os")
    (folder / ".env").write_text("KEY=1")
    report = await client.adapters.push(folder, name=NAME, version="1")
    assert report.ignored == (".env", "train.py")
    await client.adapters.pull(NAME, tmp_path / "copy")
    assert sorted(contents(tmp_path / "copy")) == [CONFIG, WEIGHTS]


async def test_a_pull_takes_the_newest_version(client: Client, folder: Path, tmp_path: Path) -> None:
    for version in ("2", "10"):
        (folder / "prompt_template.txt").write_text(f"{version} {{prompt}}")
        await client.adapters.push(folder, name=NAME, version=version)
    assert (await client.adapters.pull(NAME, tmp_path / "copy")).version == "10"


async def test_a_pull_of_what_is_not_there_says_so(client: Client, tmp_path: Path) -> None:
    for spec in (NAME, f"{NAME}@7"):
        with pytest.raises(VersionUnknownError, match=spec):
            await client.adapters.pull(spec, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


async def test_a_pull_takes_no_place_that_is_taken(client: Client, folder: Path, tmp_path: Path) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidRequestError, match="copy exists"):
        await client.adapters.pull(NAME, tmp_path / "copy")
    assert (tmp_path / "copy" / "mine.txt").read_text() == "mine"


async def test_a_pull_that_was_cut_shows_nothing_and_goes_on__d2(
    client: Client, folder: Path, tmp_path: Path, bus: Bus
) -> None:
    report = await client.adapters.push(folder, name=NAME, version="1")
    weights = next(file for file in report.record.files if file.name == WEIGHTS)
    await Objects(bus, "blobs").remove(f"file/{weights.sha256}")
    with pytest.raises(FileMissingError, match=WEIGHTS):
        await client.adapters.pull(NAME, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    await client.adapters.push(folder, name=NAME, version="1")
    await client.adapters.pull(NAME, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)


async def test_progress_tells_every_byte_once(client: Client, folder: Path) -> None:
    sizes, heard = list[int](), list[int]()
    report = await client.adapters.push(
        folder, name=NAME, version="1", on_size=sizes.append, on_bytes=heard.append
    )
    assert sizes == [sum(heard)] == [report.size_bytes]


async def test_a_bus_without_a_yard_says_so(bus_url: str, folder: Path) -> None:
    async with Client(bus_url, prefix="nowhere") as client:
        with pytest.raises(YardNotReadyError):
            await client.adapters.push(folder, name=NAME, version="1")


async def test_it_works_without_an_event_loop(settings: YardSettings, folder: Path, tmp_path: Path) -> None:
    def push_and_pull() -> None:
        with SyncClient(settings=settings) as client:
            report = client.adapters.push(folder, name=NAME, version="1")
            assert (
                client.adapters.find(NAME) == report.record == client.adapters.pull(NAME, tmp_path / "copy")
            )

    await asyncio.to_thread(push_and_pull)
    assert contents(tmp_path / "copy") == contents(folder)
