"""Thousands are cancelled with few orders, in whatever state; what hangs holds up no cancel (E4)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import Yard

import lorayard.cancel
import lorayard.cancel_many
import lorayard.cancel_together
from lorayard import BusUnavailableError, CancelOutcome, CancelQuery, Client
from lorayard_schemas.cancel_many import CancelMany
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import Lying, walk
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

CANCELLED = CancelOutcome.CANCELLED
FINISHED = CancelOutcome.FINISHED
UNKNOWN = CancelOutcome.UNKNOWN


def script(request: GenerationRequest) -> Scripted:
    """A prompt says what becomes of it."""
    if request.prompt == "fail":
        failed = Failed(
            request_id=request.request_id, kind=FailureKind.RETRYABLE, code="engine_error", message="m"
        )
        return Scripted(outcome=failed)
    return Scripted(delay_seconds=math.inf if request.prompt == "hold" else 0.0)


@pytest.fixture
async def client(long_lease_yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=long_lease_yard.settings, tenant="acme") as client:
        yield client


async def hold_some(yard: Yard, client: Client, wait_until: WaitUntil) -> set[str]:
    """Jobs at a worker, parked, behind the window, in a paused lane, for later and to be tried again."""
    await yard.dispatcher(window=4)
    later: dict[str, Any] = {"retry_base_seconds": 600.0, "retry_cap_seconds": 600.0}
    await yard.worker(engine=EchoEngine(rows=2, script=script), drain_seconds=0.0, **later)
    names = {"f", *(f"j{number}" for number in range(40)), *(f"b{number}" for number in range(5))}
    await yard.publish(Job(id="f", prompt="fail"))

    async def waits() -> bool:
        return await yard.left("delayed") == 1

    await wait_until(waits)
    await client.control.pause("lane", "bulk", reason="w")
    for number in range(40):
        await yard.publish(Job(id=f"j{number}", prompt="hold"))
    for number in range(5):
        await yard.publish(Job(id=f"b{number}", prompt="hold"), lane=Lane.BULK)

    async def holds() -> bool:
        return len((await yard.advert()).load.holding) >= 2

    await wait_until(holds)
    return names | {(await client.submit("x", delay_seconds=3600)).id for _ in range(3)}


async def test_many_in_every_state_are_cancelled_and_leave_the_streams__e4(
    long_lease_yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    names = await hold_some(yard, client, wait_until)
    await yard.publish(Job(id="theirs", prompt="hold"), tenant="other", lane=Lane.BULK)
    report = await client.cancel_where(CancelQuery())
    assert dict(report.outcomes) == dict.fromkeys(names, CANCELLED)
    for name in names:
        assert (await yard.result(name)).state is ResultState.CANCELLED

    async def only_theirs() -> bool:
        return (await yard.left(), await yard.left("delayed")) == (1, 0)

    await wait_until(only_theirs)
    assert await yard.stored("theirs", tenant="other") is None


@pytest.mark.usefixtures("patient_looks")
async def test_many_by_their_ids_are_told_apart__e4(long_lease_yard: Yard, client: Client) -> None:
    yard = long_lease_yard
    await yard.dispatcher()
    ids = [f"j{number}" for number in range(20)]
    for name in ids:
        await yard.publish(Job(id=name, prompt="x"), lane=Lane.BULK)
    await yard.bus.js.publish(
        yard.bus.subjects.result("acme", "j0"),
        encode(JobResult(job="j0", tenant="acme", state=ResultState.SUCCEEDED)),
    )
    report = await client.cancel_many([*ids, "typo"])
    assert report.outcomes == {"j0": FINISHED, **dict.fromkeys(ids[1:], CANCELLED), "typo": UNKNOWN}


async def test_many_are_cancelled_while_no_dispatcher_lives__e4(
    long_lease_yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    dispatcher = await yard.dispatcher(window=4)
    await yard.worker(engine=EchoEngine(rows=2, script=script), drain_seconds=0.0)
    for number in range(40):
        await yard.publish(Job(id=f"j{number}", prompt="hold"))

    async def holds() -> bool:
        return len((await yard.advert()).load.holding) >= 2

    await wait_until(holds)
    await dispatcher.stop()
    report = await client.cancel_where(CancelQuery())
    assert Counter(report.outcomes.values()) == {CANCELLED: 40}

    async def nothing_left() -> bool:
        return await yard.left() == 0

    await wait_until(nothing_left)


async def test_what_a_late_answer_has_ended_is_not_told_as_finished__e4(
    long_lease_yard: Yard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who took the order carries it out, and its answer is lost."""
    yard = long_lease_yard

    async def carry_out(message: Msg) -> None:
        for one in decode(CancelMany, message.data).jobs:
            state = ResultState.SUCCEEDED if one.job == "j0" else ResultState.CANCELLED
            body = encode(JobResult(job=one.job, tenant="acme", state=state))
            await yard.bus.js.publish(yard.bus.subjects.result("acme", one.job), body)

    await yard.bus.nc.subscribe(yard.bus.subjects.dispatcher("cancel-many"), "q", cb=carry_out)
    await yard.bus.nc.flush()
    monkeypatch.setattr(lorayard.cancel_together, "ANSWER_SECONDS", 1.0)
    ids = [f"j{number}" for number in range(20)]
    for name in ids:
        await yard.publish(Job(id=name, prompt="x"))
    report = await client.cancel_many(ids)
    assert report.outcomes == {"j0": FINISHED, **dict.fromkeys(ids[1:], CANCELLED)}


async def test_who_cancels_alone_is_told_in_bounded_time_that_no_result_can_be_stored__g2(
    long_lease_yard: Yard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = long_lease_yard.bus
    stream = bus.subjects.stream("results")
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    await bus.api(f"STREAM.UPDATE.{stream}", {**config, "max_msg_size": 1})
    monkeypatch.setattr(lorayard.cancel_together, "ALONE_SECONDS", 1.0)
    ids = [f"j{number}" for number in range(20)]
    report = await client.cancel_many(ids)
    assert report.errors.keys() == set(ids)
    assert {type(error) for error in report.errors.values()} == {BusUnavailableError}


async def test_a_job_that_comes_due_while_a_query_looks_is_not_missed__e4(
    long_lease_yard: Yard, client: Client, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = long_lease_yard.bus
    later = await client.submit("x", delay_seconds=2)
    looked: list[str] = []

    async def due() -> bool:
        asked = {"subjects_filter": bus.subjects.due}
        info = await bus.api(f"STREAM.INFO.{bus.subjects.stream('delayed')}", asked)
        return bool(info["state"].get("subjects"))

    async def slowly(where: Bus, stream: str, subject: str, *, until: int) -> AsyncIterator[list[Lying]]:
        async for page in walk(where, stream, subject, until=until):
            yield page
        if stream == bus.subjects.stream("delayed") and not looked:
            looked.append(subject)
            await wait_until(due)

    monkeypatch.setattr(lorayard.cancel_many, "walk", slowly)
    assert (await client.cancel_where(CancelQuery())).outcomes == {later.id: CANCELLED}
    assert looked


@pytest.mark.usefixtures("patient_looks")
@pytest.mark.parametrize("state", ["running", "queued", "finished", "never"])
async def test_a_dispatcher_that_hangs_does_not_hold_up_a_cancel__e4(
    state: str, long_lease_yard: Yard, client: Client, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = long_lease_yard
    dispatcher = await yard.dispatcher()
    await yard.worker(engine=EchoEngine(rows=2, script=script), drain_seconds=0.0)
    if state in ("running", "finished"):
        await yard.publish(Job(id="j", prompt="hold" if state == "running" else "x"))

        async def there() -> bool:
            return state == "finished" or len((await yard.advert()).load.holding) == 1

        await wait_until(there)
    if state == "finished":
        await yard.result("j")
    await dispatcher.stop()
    heard: list[Msg] = []

    async def hang(message: Msg) -> None:
        heard.append(message)

    await yard.bus.nc.subscribe(yard.bus.subjects.dispatcher("cancel"), "q", cb=hang)
    await yard.bus.nc.subscribe(yard.bus.subjects.dispatcher("cancel-parked"), cb=hang)

    async def taken() -> list[Msg]:
        # Just after a member of the group has left, the server may say that nobody is in it.
        await yard.bus.nc.publish(yard.bus.subjects.dispatcher("cancel"), b"")
        await yard.bus.nc.flush()
        return heard

    await wait_until(taken)
    if state == "queued":
        await yard.publish(Job(id="j", prompt="x"))
    monkeypatch.setattr(lorayard.cancel, "ANSWER_SECONDS", 600.0)
    said = {"finished": FINISHED, "never": UNKNOWN}.get(state, CANCELLED)
    assert await client.handle("j").cancel() is said
    ended = ResultState.SUCCEEDED if state == "finished" else ResultState.CANCELLED
    assert (await yard.result("j")).state is ended

    async def both_came() -> bool:
        return sum(bool(message.data) for message in heard) == 2  # the order, and whether it has it parked

    await wait_until(both_came)
