"""What is said of a version after its first push: labels, and who may use it (D1, D7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client, InvalidRequestError, JobFailedError, SyncClient, VersionUnknownError
from lorayard.settings import client_settings
from lorayard_cli.app import run_command
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

NAME = "acme/tiny/echo"
LABEL = f"{NAME}@1"


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=client_settings(settings, actor="ana")) as client:
        yield client


@pytest.fixture
async def pushed(client: Client, tmp_path: Path) -> Path:
    """A version with labels, for two tenants, and its folder."""
    folder = make_tiny_adapter(tmp_path / "adapter", seed=1, targets=("q_proj",))
    await client.adapters.push(
        folder, name=NAME, version="1", labels={"task": "echo", "team": "a"}, tenants=["t1", "t2"]
    )
    return folder


async def told(client: Client) -> list[RegistryChange]:
    """The audit records of the version."""
    bus = client._open_link.bus  # pyright: ignore[reportPrivateUsage]
    stream, found = bus.subjects.stream("audit"), list[RegistryChange]()
    info = await bus.api(f"STREAM.INFO.{stream}")
    for number in range(1, int(info["state"]["messages"]) + 1):
        message = await bus.js.get_msg(stream, seq=number)
        if ".registry.adapters." in (message.subject or ""):
            found.append(decode(RegistryChange, message.data or b""))
    return found


async def test_labels_and_tenants_change_and_the_record_says_who_and_why__d1(
    client: Client, pushed: Path
) -> None:
    before = await client.adapters.find(LABEL)
    made = await client.adapters.amend(
        LABEL, labels={"task": "shout", "tier": "gold"}, unlabel=["team"], tenants=["t3", "t1"], reason="sold"
    )
    assert (made.labels, made.tenants) == ({"task": "shout", "tier": "gold"}, ("t1", "t3"))
    assert (made.changed_by, made.change) == ("ana", "sold")
    assert (made.digest, made.files, made.state) == (before.digest, before.files, before.state)
    assert await client.adapters.find(LABEL) == made
    last = (await told(client))[-1]
    assert (last.verb, last.actor, last.reason, last.key) == ("amend", "ana", "sold", LABEL)
    assert last.before == "labels task=echo, team=a; for t1, t2"
    assert last.after == "labels task=shout, tier=gold; for t1, t3"
    everybody = await client.adapters.amend(LABEL, all_tenants=True)
    assert (everybody.tenants, everybody.labels) == ((), made.labels)
    again = await client.adapters.amend(LABEL, all_tenants=True, reason="twice")
    assert again == everybody, "what is so already is not written"


async def test_a_later_push_that_says_otherwise_names_the_command__d1(client: Client, pushed: Path) -> None:
    with pytest.raises(InvalidRequestError, match="lorayard adapters amend"):
        await client.adapters.push(pushed, name=NAME, version="1", tenants=["t9"])


async def test_amendments_at_once_are_laid_over_each_other__d1(client: Client, pushed: Path) -> None:
    wanted = {f"key-{number}": str(number) for number in range(8)}
    await asyncio.gather(
        *(client.adapters.amend(LABEL, labels={key: text}) for key, text in wanted.items()),
        client.adapters.amend(LABEL, tenants=["t9"]),
    )
    made = await client.adapters.find(LABEL)
    assert made.labels == {"task": "echo", "team": "a", **wanted}
    assert made.tenants == ("t9",)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "labels"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"Team": "x"}}, "labels"),
        ({"labels": {"k": "x" * 257}}, "labels"),
        ({"labels": {f"k{number}": "" for number in range(64)}}, "labels"),
        ({"unlabel": ["nope"]}, "unlabel"),
        ({"labels": {"task": "x"}, "unlabel": ["task"]}, "unlabel"),
        ({"tenants": [""]}, "tenants"),
        ({"tenants": ["t" * 65]}, "tenants"),
        ({"tenants": [f"t{number}" for number in range(1025)]}, "tenants"),
        ({"tenants": []}, "tenants"),
        ({"tenants": ["t1"], "all_tenants": True}, "tenants"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field_and_changes_nothing__d1(
    client: Client, pushed: Path, asked: dict[str, Any], field: str
) -> None:
    before = await client.adapters.find(LABEL)
    with pytest.raises(InvalidRequestError) as caught:
        await client.adapters.amend(LABEL, **asked)
    assert caught.value.field == field
    assert await client.adapters.find(LABEL) == before


async def test_only_a_version_that_is_there_is_amended__d1(client: Client, pushed: Path) -> None:
    with pytest.raises(VersionUnknownError):
        await client.adapters.amend(f"{NAME}@9", all_tenants=True)
    with pytest.raises(InvalidRequestError, match="say which version"):
        await client.adapters.amend(NAME, all_tenants=True)


async def test_the_command_and_the_blocking_client_do_the_same__d1__e2(
    settings: YardSettings, client: Client, pushed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ["--url", settings.url, "--prefix", settings.prefix]
    arguments = ["adapters", "amend", LABEL, "--label", "task=x", "--unlabel", "team", "--tenant", "t5"]
    assert await asyncio.to_thread(run_command, [*arguments, "--why", "moved", *address]) == 0
    assert capsys.readouterr().out == f"{LABEL}: labels task=x; for t5\n"
    assert await asyncio.to_thread(run_command, ["adapters", "amend", LABEL, *address]) == 5
    assert "say what is to change" in capsys.readouterr().err

    def blocking() -> tuple[str, ...]:
        with SyncClient(settings=settings) as blocking:
            return blocking.adapters.amend(LABEL, tenants=["t6"]).tenants

    assert await asyncio.to_thread(blocking) == ("t6",)


async def test_whom_a_version_is_taken_from_is_refused_as_if_it_did_not_exist__d7(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    tenant = client_settings(yard.settings).tenant
    assert (await client.generate("x", adapter=ADAPTER)).version == "1"
    await client.adapters.amend(f"{ADAPTER}@1", tenants=["other"])

    async def is_known() -> bool:  # the dispatcher hears of it on another way than of jobs
        return not (await (await client.submit("x", adapter=ADAPTER)).outcome()).succeeded

    await wait_until(is_known)
    with pytest.raises(JobFailedError) as hidden:
        await client.generate("x", adapter=ADAPTER)
    with pytest.raises(JobFailedError) as unknown:
        await client.generate("x", adapter="acme/tiny/none")
    assert (
        str(hidden.value).replace(ADAPTER, "acme/tiny/none").partition(":")[2]
        == (str(unknown.value).partition(":")[2])
    )
    await client.adapters.amend(f"{ADAPTER}@1", tenants=["other", tenant])
    assert (await client.generate("x", adapter=ADAPTER)).version == "1"
