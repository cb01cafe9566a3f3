"""What is paused takes jobs and starts none, until it is resumed or its time is over (E5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client, Controlled, PauseUnknownError
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ResultState

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def run(yard: Yard, *arguments: str, code: ExitCode = ExitCode.OK) -> None:
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == code


async def explained(yard: Yard, job: str) -> JobExplanation:
    body = encode(ExplainJob(tenant="acme", job=job))
    reply = await yard.bus.nc.request(yard.bus.subjects.dispatcher("explain"), body, timeout=30)
    return decode(JobExplanation, reply.data)


async def knows(yard: Yard, thing: str, worker: str = "w1") -> bool:
    """Whether a worker counts what is paused or capped."""
    return thing in (await yard.advert(worker)).load.counted


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Controlled.LANE, "normal"),
        (Controlled.TENANT, "acme"),
        (Controlled.ADAPTER, ADAPTER),
        (Controlled.ADAPTER, f"{ADAPTER}@1"),
        (Controlled.WORKER, "w1"),
    ],
)
async def test_jobs_of_what_is_paused_wait_until_it_is_resumed__e5(
    kind: Controlled, name: str, yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await yard.publish(Job(id="before", prompt="x"), adapter=ADAPTER)
    assert (await yard.result("before")).state is ResultState.SUCCEEDED
    await client.control.pause(kind, name, reason="maintenance")

    async def holds() -> bool:
        load = (await yard.advert()).load
        return load.paused if kind is Controlled.WORKER else f"{kind}:{name}" in load.counted

    await wait_until(holds)
    await yard.publish(Job(id="held", prompt="x"), adapter=ADAPTER)
    others = {
        Controlled.LANE: {"lane": Lane.URGENT, "adapter": ADAPTER},
        Controlled.TENANT: {"tenant": "other", "adapter": ADAPTER},
        Controlled.ADAPTER: {},
    }
    if kind in others:
        await yard.publish(Job(id="other", prompt="x"), **others[kind])  # type: ignore[arg-type]
        tenant = "other" if kind is Controlled.TENANT else "acme"
        assert (await yard.result("other", tenant=tenant)).state is ResultState.SUCCEEDED
    assert await yard.stored("held") is None
    await client.control.resume(kind, name)
    assert (await yard.result("held")).state is ResultState.SUCCEEDED
    with pytest.raises(PauseUnknownError, match="is not paused"):
        await client.control.resume(kind, name)


async def test_a_paused_tenants_job_says_who_paused_it_and_why__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    await run(yard, "tenants", "pause", "acme", "--for", "2h", "--why", "late payer", "--by", "ana")
    await yard.dispatcher()  # to one that runs already a pause comes on another way than jobs
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)

    async def paused() -> bool:
        return (await yard.status()).paused == 1

    await wait_until(paused)
    told = await explained(yard, "a")
    assert told.reason is WaitReason.PAUSED
    assert told.detail.startswith("tenant acme until ")
    assert told.detail.endswith(", by ana: late payer")
    capsys.readouterr()
    await run(yard, "explain", "a", "--tenant", "acme")
    assert "somebody has paused tenant acme until" in " ".join(capsys.readouterr().out.split())
    await run(yard, "control", "ls", "--json")
    (pause,) = json.loads(capsys.readouterr().out)["pauses"]
    assert (pause["kind"], pause["name"], pause["by"]) == ("tenant", "acme", "ana")
    for command in ("status", "doctor"):
        await run(yard, command, "--json")
        said = capsys.readouterr().out
        assert "late payer" in said
        assert "ana" in said
    assert await yard.cancel("a") is CancelOutcome.CANCELLED
    assert (await yard.result("a")).state is ResultState.CANCELLED
    await run(yard, "tenants", "resume", "acme")


async def test_a_pause_ends_by_itself_and_the_jobs_go_on__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await client.control.pause("lane", "normal", reason="a moment", for_seconds=0.5)
    await client.control.pause("worker", "w1", reason="a moment", for_seconds=0.6)
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)
    assert (await yard.result("a")).state is ResultState.SUCCEEDED

    async def none_is_left() -> bool:
        return (await client.control.list()).pauses == ()

    await wait_until(none_is_left)


async def test_a_backlog_of_a_paused_tenant_starves_nobody_behind_it__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    """More of its jobs than the window of the lane holds: the rest is put off, and the others are seen."""
    await yard.dispatcher(window=4)
    await yard.worker(adapters_dir=adapters)
    await client.control.pause("tenant", "noisy", reason="runaway")
    await wait_until(lambda: knows(yard, "tenant:noisy"))
    for number in range(20):
        await yard.publish(Job(id=f"n{number}", prompt="x"), tenant="noisy", adapter=ADAPTER)
    await yard.publish(Job(id="quiet", prompt="x"), adapter=ADAPTER)
    assert (await yard.result("quiet")).state is ResultState.SUCCEEDED
    await wait_until(lambda: _left(yard, "jobs", 4))
    assert (await yard.status()).paused == 4
    assert await yard.left("delayed") == 16, "nothing is lost"
    await client.control.resume("tenant", "noisy")
    await wait_until(lambda: _left(yard, "jobs", 0))


async def _left(yard: Yard, kind: str, count: int) -> bool:
    return await yard.left(kind) == count


async def test_a_paused_lane_is_not_pulled_and_no_lease_of_it_runs_out__e5(
    yard: Yard, client: Client, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    await client.control.pause("lane", "bulk", reason="nightly backup")
    for number in range(3):
        await yard.publish(Job(id=f"b{number}", prompt="x"), lane=Lane.BULK, adapter=ADAPTER)
    await yard.dispatcher()
    await yard.publish(Job(id="n", prompt="x"), adapter=ADAPTER)
    assert (await yard.result("n")).state is ResultState.SUCCEEDED
    consumer = next(
        one
        for one in (await yard.bus.js.consumers_info(yard.bus.subjects.stream("jobs")))
        if "bulk" in one.name
    )
    assert (consumer.num_pending, consumer.num_ack_pending) == (3, 0)
    await run(yard, "explain", "b0", "--tenant", "acme")
    assert "somebody has paused lane bulk" in " ".join(capsys.readouterr().out.split())
    await client.control.resume("lane", "bulk")
    for number in range(3):
        assert (await yard.result(f"b{number}")).attempt == 1


async def test_pauses_hold_in_the_next_dispatcher_and_the_next_worker__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    dispatcher = await yard.dispatcher("d1")
    worker = await yard.worker(adapters_dir=adapters)
    await client.control.pause("worker", "w1", reason="disk")
    await client.control.pause("adapter", "base", reason="it rambles")
    await dispatcher.stop()
    await worker.stop()
    await yard.dispatcher("d2")
    await yard.worker(adapters_dir=adapters)
    assert (await yard.advert()).load.paused
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)
    await yard.publish(Job(id="b", prompt="x"))
    await yard.worker("w2", adapters_dir=adapters)
    assert (await yard.result("a")).maker.worker == "w2"  # type: ignore[union-attr]
    assert await yard.stored("b") is None
    await client.control.resume("adapter", "base")
    assert (await yard.result("b")).state is ResultState.SUCCEEDED


async def test_pauses_hold_while_no_dispatcher_lives__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await client.control.pause("lane", "bulk", reason="backup")
    await client.control.pause("tenant", "noisy", reason="runaway")
    await yard.worker(adapters_dir=adapters, emergency=True, emergency_after_seconds=0.1)
    await yard.publish(Job(id="l", prompt="x"), lane=Lane.BULK, adapter=ADAPTER)
    await yard.publish(Job(id="t", prompt="x"), tenant="noisy", adapter=ADAPTER)
    await yard.publish(Job(id="free", prompt="x"), adapter=ADAPTER)
    assert (await yard.result("free")).state is ResultState.SUCCEEDED
    assert await yard.stored("l") is None
    assert await yard.stored("t", tenant="noisy") is None
    await client.control.resume("lane", "bulk")
    await client.control.resume("tenant", "noisy")
    assert (await yard.result("l")).state is ResultState.SUCCEEDED
    assert (await yard.result("t", tenant="noisy")).state is ResultState.SUCCEEDED


async def test_what_cannot_be_paused_is_refused_by_name__e5(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (("lanes", "pause", "bulky", "--why", "w"), "there is no lane 'bulky'"),
        (("lanes", "pause", "bulk"), "say why"),
        (("adapters", "pause", f"{ADAPTER}@stable", "--why", "w"), "is an alias"),
        (("adapters", "pause", "nonsense", "--why", "w"), "is not an adapter"),
        (("tenants", "resume", "nobody"), "tenant nobody is not paused"),
        (("tenants", "cap", "t", "0"), "to start none, pause it"),
    ):
        await run(yard, *arguments, code=ExitCode.BAD_INPUT)
        assert words in capsys.readouterr().err
    await run(yard, "lanes", "pause", "bulk", "--why", "w", "--for", "soon", code=ExitCode.USAGE)
    assert "is no span of time" in capsys.readouterr().err
    await run(yard, "workers", "pause", "w9", "--why", "w")
    assert "warning: worker w9 is not alive" in capsys.readouterr().err


async def test_a_cap_that_is_taken_away_is_told__e5(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    await run(yard, "lanes", "cap", "bulk", "2", "--why", "x")
    await run(yard, "control", "ls")
    assert "uncapped" in capsys.readouterr().out
    await run(yard, "lanes", "uncap", "bulk", "--json")
    assert json.loads(capsys.readouterr().out) == {"uncapped": {"kind": "lane", "name": "bulk"}}
