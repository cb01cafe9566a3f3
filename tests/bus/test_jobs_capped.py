"""How many jobs of a thing are at workers at once, and what is drained before maintenance (E5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client, Controlled, DrainTimeoutError, Running
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ResultState
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
LONG_SECONDS = 600.0
"""An echo that ends only when it is cancelled."""


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def run(yard: Yard, *arguments: str, code: ExitCode = ExitCode.OK) -> None:
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == code


async def held(yard: Yard, worker: str = "w1") -> int:
    return len((await yard.advert(worker)).load.holding)


async def holds(yard: Yard, count: int, worker: str = "w1") -> bool:
    return await held(yard, worker) == count


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Controlled.LANE, "normal"),
        (Controlled.TENANT, "acme"),
        (Controlled.ADAPTER, ADAPTER),
        (Controlled.ADAPTER, f"{ADAPTER}@1"),
    ],
)
async def test_jobs_beyond_a_cap_wait_until_others_have_ended__e5(
    kind: Controlled, name: str, yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters, echo_delay_seconds=LONG_SECONDS)
    await yard.worker("w2", adapters_dir=adapters, echo_delay_seconds=LONG_SECONDS)
    await client.control.cap(kind, name, 2, reason="fair use")
    for worker in ("w1", "w2"):
        await wait_until(lambda worker=worker: _counts(yard, f"{kind}:{name}", worker))
    for number in range(5):
        await yard.publish(Job(id=f"j{number}", prompt="x"), adapter=ADAPTER)

    async def at_workers() -> int:
        return await held(yard, "w1") + await held(yard, "w2")

    async def waits() -> bool:
        return (await yard.status()).capped == 3

    await wait_until(waits)
    assert (await yard.status()).handed_over == 2
    body = encode(ExplainJob(tenant="acme", job="j4"))
    reply = await yard.bus.nc.request(yard.bus.subjects.dispatcher("explain"), body, timeout=30)
    told = decode(JobExplanation, reply.data)
    assert told.reason is WaitReason.CAPPED
    assert "at most 2 jobs at once" in told.detail
    others = {
        Controlled.LANE: {"lane": Lane.URGENT, "adapter": ADAPTER},
        Controlled.TENANT: {"tenant": "other", "adapter": ADAPTER},
        Controlled.ADAPTER: {},
    }
    await yard.publish(Job(id="other", prompt="x"), **others[kind])  # type: ignore[arg-type]

    async def three() -> bool:
        return await at_workers() == 3

    await wait_until(three)
    await yard.cancel("j0")
    await yard.cancel("j1")

    async def one_waits() -> bool:
        return (await yard.status()).capped == 1 and await at_workers() == 3

    await wait_until(one_waits)
    await client.control.uncap(kind, name)

    async def none_waits() -> bool:
        return (await yard.status()).capped == 0 and await at_workers() == 4

    await wait_until(none_waits)
    for number in range(2, 5):
        await yard.cancel(f"j{number}")
    await yard.cancel("other", tenant="other" if kind is Controlled.TENANT else "acme")


async def _counts(yard: Yard, thing: str, worker: str = "w1") -> bool:
    return thing in (await yard.advert(worker)).load.counted


async def test_a_new_dispatcher_counts_what_an_earlier_one_gave_out__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    first = await yard.dispatcher("d1")
    await yard.worker(adapters_dir=adapters, echo_delay_seconds=LONG_SECONDS)
    await client.control.cap("tenant", "acme", 1, reason="fair use")
    await wait_until(lambda: _counts(yard, "tenant:acme"))
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)
    await wait_until(lambda: holds(yard, 1))
    await first.stop()
    await yard.dispatcher("d2")
    await yard.publish(Job(id="b", prompt="x"), adapter=ADAPTER)

    async def waits() -> bool:
        return (await yard.status()).capped == 1

    await wait_until(waits)
    assert await held(yard) == 1
    await yard.cancel("a")
    await wait_until(lambda: holds(yard, 1))
    await yard.cancel("b")


async def test_a_cap_holds_while_no_dispatcher_lives__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await client.control.cap("tenant", "acme", 1, reason="fair use")
    slow: dict[str, Any] = {"echo_delay_seconds": LONG_SECONDS, "drain_seconds": 0.0}
    await yard.worker(adapters_dir=adapters, emergency=True, emergency_after_seconds=0.1, **slow)
    for name in ("a", "b"):
        await yard.publish(Job(id=name, prompt="x"), adapter=ADAPTER)
    await yard.publish(Job(id="c", prompt="x"), adapter=ADAPTER, tenant="other")
    await wait_until(lambda: holds(yard, 2))
    running = (await yard.advert()).load.counted["tenant:acme"]
    assert running == 1


def full_worker() -> EchoEngine:
    """One row, taken by the job "hold" until it is cancelled; others wait behind it."""

    def script(request: GenerationRequest) -> Scripted:
        return Scripted(delay_seconds=LONG_SECONDS if request.prompt == "hold" else 0.001)

    return EchoEngine(rows=1, script=script)


async def fill(yard: Yard, wait_until: WaitUntil) -> None:
    """One job runs at w1, and some wait there."""
    await yard.worker("w1", engine=full_worker(), rows=1, lookahead=15)
    await yard.publish(Job(id="hold", prompt="hold"))
    await wait_until(lambda: holds(yard, 1))
    for number in range(12):
        await yard.publish(Job(id=f"j{number}", prompt="x"))

    async def some() -> bool:
        return await held(yard) >= 4

    await wait_until(some)


async def test_a_worker_scaled_down_hands_back_what_has_not_begun_beyond_it__e5(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await fill(yard, wait_until)
    await run(yard, "workers", "scale", "w1", "--rows", "2")
    await wait_until(lambda: holds(yard, 2))
    await yard.worker("w2")
    for number in range(12):
        if number != 0:  # may lie behind the one that runs
            assert (await yard.result(f"j{number}")).attempt == 1
    await run(yard, "workers", "scale", "w1")

    async def has_room() -> bool:
        return (await yard.advert()).load.room > 2

    await wait_until(has_room)
    await yard.cancel("hold")
    assert (await yard.result("j0")).state is ResultState.SUCCEEDED


async def test_a_drained_worker_hands_back_what_has_not_begun_and_finishes_the_rest__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await fill(yard, wait_until)
    await yard.worker("w2")
    seen: list[Running] = []
    draining = asyncio.create_task(
        client.control.drain("worker", "w1", reason="new disk", on_progress=seen.append)
    )
    for number in range(12):
        result = await yard.result(f"j{number}")
        assert (result.attempt, result.maker and result.maker.worker) == (1, "w2")

    async def says_so() -> bool:
        return (await yard.advert()).load.paused

    await wait_until(says_so)
    assert not draining.done()
    assert await yard.stored("hold") is None, "what has begun runs on"
    await yard.cancel("hold")
    await draining
    assert seen[-1].empty
    assert seen[0].jobs["w1"] >= 1
    await run(yard, "workers", "undrain", "w1")
    assert not (await client.control.list()).pauses


async def test_a_drained_tenant_is_empty_once_nothing_of_it_runs__e5(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters, echo_delay_seconds=LONG_SECONDS)
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)
    await wait_until(lambda: holds(yard, 1))
    with pytest.raises(DrainTimeoutError, match="1 job at its workers; it stays paused"):
        await client.control.drain("tenant", "acme", reason="moving", timeout_seconds=0.3)
    await run(yard, "tenants", "drain", "acme", "--wait", "--timeout", "0.3", code=ExitCode.TIMED_OUT)
    assert "tenant acme: 1 job left (1 at w1)" in capsys.readouterr().err
    await yard.cancel("a")
    await run(yard, "tenants", "drain", "acme", "--wait")
    assert "empty: tenant acme" in capsys.readouterr().out
    await yard.publish(Job(id="b", prompt="x"), adapter=ADAPTER)

    async def paused() -> bool:
        return (await yard.status()).paused == 1

    await wait_until(paused)
    await run(yard, "tenants", "resume", "acme")
    await wait_until(lambda: holds(yard, 1))
    await yard.cancel("b")
    assert (await yard.result("b")).state is ResultState.CANCELLED
