"""`adapters diff` (D6): what changed between two versions, or a version and a folder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lorayard import AdapterRefusedError, Client, VersionUnknownError
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import LAYERS, make_tiny_adapter

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"


async def diff(settings: YardSettings, *arguments: str) -> int:
    where = ["--url", settings.url, "--prefix", settings.prefix]
    return await asyncio.to_thread(run_command, ["adapters", "diff", *arguments, *where])


async def test_two_versions_are_compared_in_80_columns__d6(
    client: Client,
    settings: YardSettings,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await client.adapters.push(folder, name=NAME, version="1", labels={"task": "echo"})
    other = make_tiny_adapter(tmp_path / "other", seed=2, rank=4, targets=("q_proj",))
    (other / "prompt_template.txt").write_text("A long form around every prompt\n" * 3 + "{prompt}")
    await client.adapters.push(other, name=NAME, version="2")
    assert await diff(settings, f"{NAME}@1", f"{NAME}@2", "--modules", "3") == ExitCode.OK
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for part in ("rank", "targets", "template", "label task", "A norm", "cosine", "--modules 0"):
        assert part in told
    assert await diff(settings, f"{NAME}@1", f"{NAME}@2", "--json") == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert said["same"] is False
    fields = {one["field"]: (one["first"], one["second"]) for one in said["fields"] if not one["same"]}
    assert (fields["rank"], fields["label task"]) == (("8", "4"), ("echo", "none"))
    changes = [one["change"] for one in said["modules"]]
    measured = [change for change in changes if change is not None]
    assert changes == [None] * (len(changes) - len(measured)) + sorted(measured, reverse=True)
    assert len(measured) == LAYERS  # q_proj is what both have


async def test_a_version_is_compared_with_the_folder_that_it_came_from__d6(
    client: Client, settings: YardSettings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    assert (await client.adapters.diff(NAME, folder)).same
    assert await diff(settings, f"{NAME}@1", str(folder)) == ExitCode.OK
    assert "are the same" in capsys.readouterr().out
    (folder / "prompt_template.txt").write_text("{prompt}!")
    assert not (await client.adapters.diff(str(folder), f"{NAME}@1")).same


async def test_what_cannot_be_compared_is_said__g3(
    client: Client, settings: YardSettings, folder: Path, tmp_path: Path, bus: Bus
) -> None:
    record = (await client.adapters.push(folder, name=NAME, version="1")).record
    held = record.model_copy(update={"version": "2", "files": ()})
    await Records(bus).create(held, Author(actor="w1"))
    with pytest.raises(VersionUnknownError, match="workers have it on their own disks"):
        await client.adapters.diff(f"{NAME}@1", f"{NAME}@2")
    await Records(bus).create(held.model_copy(update={"name": "acme/tiny/held"}), Author(actor="w1"))
    with pytest.raises(VersionUnknownError, match="workers have it on their own disks"):
        await client.adapters.diff(f"{NAME}@1", "acme/tiny/held")
    with pytest.raises(AdapterRefusedError, match="there is no such folder"):
        await client.adapters.diff(f"{NAME}@1", tmp_path / "missing")
    with pytest.raises(AdapterRefusedError, match="it is a file; a folder is needed"):
        await client.adapters.diff(f"{NAME}@1", folder / "adapter_config.json")
    assert await diff(settings, f"{NAME}@1", f"{NAME}@9") == ExitCode.UNKNOWN_ADAPTER
    assert await diff(settings, f"{NAME}@1", str(tmp_path)) == ExitCode.BAD_INPUT
    assert await diff(settings, NAME, NAME, "--modules", "-1") == ExitCode.BAD_INPUT
