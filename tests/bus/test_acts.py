"""Who cancels, redrives or purges jobs is in the audit trail, whatever becomes of it (F4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress

import pytest
from tests.bus.conftest import Yard
from tests.bus.records import acts, lay_dead

from lorayard import CancelQuery, Client, LorayardError, SyncClient
from lorayard.settings import client_settings
from lorayard_cli.app import run_command
from lorayard_schemas.audit import ActRecord

pytestmark = pytest.mark.bus

Deed = Callable[[Client, str], Coroutine[None, None, None]]
JOBS = 3


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=client_settings(yard.settings, actor="ana", tenant="acme")) as client:
        yield client


def told(act: ActRecord) -> tuple[str, str, str, str, int]:
    return act.verb, act.actor, act.tenant, act.job, act.jobs


async def test_each_act_of_a_client_is_told__f4(yard: Yard, client: Client) -> None:
    for letter in ("a", "b", "c", "d"):
        await lay_dead(yard.bus, letter)
    first, *others = [await client.submit("x") for _ in range(JOBS)]
    await first.cancel()
    await client.cancel_many([one.id for one in others])
    last = await client.submit("x", lane="bulk")
    await client.cancel_where(CancelQuery(lane="bulk"), dry_run=True)
    await client.cancel_where(CancelQuery(lane="bulk"))
    await client.dead.redrive("a")
    await client.dead.purge("b")
    await client.cancel_many([])
    assert len([letter async for letter in client.dead.purge_all(tenant="acme", limit=1)]) == 1
    assert len([report async for report in client.dead.redrive_all(tenant="acme")]) == 1
    found = await acts(yard.bus)
    assert [told(act) for act in found] == [
        ("cancel", "ana", "acme", first.id, 1),
        ("cancel", "ana", "acme", "", 2),
        ("cancel", "ana", "acme", last.id, 1),
        ("redrive", "ana", "acme", "a", 1),
        ("purge", "ana", "acme", "b", 1),
        ("purge", "ana", "acme", "", 0),
        ("redrive", "ana", "acme", "", 0),
    ]
    assert [act.about for act in found][2:4] == ["lane=bulk", "redriven as a-r1"]


async def test_the_synchronous_client_tells_the_same__f4(yard: Yard) -> None:
    await lay_dead(yard.bus, "a")

    def act() -> None:
        with SyncClient(settings=client_settings(yard.settings, actor="ben", tenant="acme")) as client:
            client.submit("x").cancel()
            client.cancel_many([client.submit("x").id])
            client.dead.purge("a")

    await asyncio.to_thread(act)
    assert [(one.verb, one.actor) for one in await acts(yard.bus)] == [
        ("cancel", "ben"),
        ("cancel", "ben"),
        ("purge", "ben"),
    ]


async def test_commands_tell_who_typed_them__f4(
    yard: Yard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORAYARD_ACTOR", "eve")
    for letter in ("a", "b", "c"):
        await lay_dead(yard.bus, letter)
    first = (await client.submit("x")).id
    for _ in range(JOBS):
        await client.submit("x", lane="bulk")
    where = ("--url", yard.settings.url, "--prefix", yard.settings.prefix)
    for command in (
        ("cancel", first, "--tenant", "acme"),
        ("cancel", "--lane", "bulk", "--tenant", "acme"),
        ("dead", "redrive", "a"),
        ("dead", "purge", "b"),
        ("dead", "purge", "--all", "--yes"),
    ):
        assert await asyncio.to_thread(run_command, [*command, *where]) == 0, command
    assert [told(act) for act in await acts(yard.bus)] == [
        ("cancel", "eve", "acme", first, 1),
        ("cancel", "eve", "acme", "", JOBS),
        ("redrive", "eve", "acme", "a", 1),
        ("purge", "eve", "acme", "b", 1),
        ("purge", "eve", "*", "", 0),
    ]


async def _cancel_one(client: Client, job: str) -> None:
    await client.handle(job).cancel()


async def _cancel_listed(client: Client, job: str) -> None:
    await client.cancel_many([job])


@pytest.mark.parametrize(("deed", "about"), [(_cancel_one, "not confirmed"), (_cancel_listed, None)])
async def test_a_cancel_that_is_broken_off_is_told_all_the_same__f4(
    yard: Yard, client: Client, deed: Deed, about: str | None
) -> None:
    job = (await client.submit("x")).id
    task = asyncio.create_task(deed(client, job))
    await asyncio.sleep(0)  # it has begun
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    (act,) = await acts(yard.bus)
    assert (told(act), act.about) == (("cancel", "ana", "acme", job, 1), job if about is None else about)


async def test_what_is_done_to_a_letter_that_stays_is_told_all_the_same__f4(
    yard: Yard, client: Client
) -> None:
    """The job is queued again, and then its letter cannot be taken away."""
    await lay_dead(yard.bus, "a")
    stream = yard.bus.subjects.stream("dead")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "deny_delete": True})
    with pytest.raises(LorayardError):
        await client.dead.redrive("a")
    with pytest.raises(LorayardError):
        await client.dead.purge("a")
    assert (await client.queue_depth()).total == 1
    found = await acts(yard.bus)
    assert [(act.verb, act.actor, act.job, act.about) for act in found] == [
        ("redrive", "ana", "a", "not confirmed"),
        ("purge", "ana", "a", "letter 1"),
    ]
