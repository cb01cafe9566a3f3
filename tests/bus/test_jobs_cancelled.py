"""A cancel ends a job in every state it can be in, soon, and whoever is there to take the order (E4).

Leases outlast every wait, deadlines there are none: what is answered was ended by the cancel alone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from tests.bus.conftest import RunningServer, Yard

from lorayard import BusUnavailableError, CancelOutcome, CancelQuery, Client, InvalidRequestError
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.job import Job, Lane, PayloadRef
from lorayard_schemas.result import ResultState
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.service.attempts import Attempts
from lorayard_workers.service.held_jobs import HeldJob

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


def script(request: GenerationRequest) -> Scripted:
    """A prompt says what becomes of it."""
    if request.prompt == "fail":
        failed = Failed(
            request_id=request.request_id, kind=FailureKind.RETRYABLE, code="engine_error", message="m"
        )
        return Scripted(outcome=failed)
    return Scripted(delay_seconds=math.inf if request.prompt == "hold" else 0.0)


class StubbornEngine(EchoEngine):
    """A step of it never ends, as of a prompt that is read for long."""

    def cancel(self, request_id: str) -> None:
        """Heard, and done when the step is over."""


class States:
    """Brings the job "j" into a state."""

    def __init__(self, yard: Yard, client: Client, wait_until: WaitUntil) -> None:
        self.yard, self.client, self._wait_until = yard, client, wait_until
        self.job = "j"

    async def queued(self) -> None:
        """Behind the window."""
        await self.yard.dispatcher(window=1)
        for name in ("a", "b", "c"):
            await self._publish(name)
        await self._taken(1)
        await self._publish("j")

    async def parked(self) -> None:
        await self.yard.dispatcher()
        await self._publish("j")
        await self._taken(1)

    async def struck(self) -> None:
        await self.yard.dispatcher()
        await self.client.strikes.add(tenant="acme", reason="w")
        await self._publish("j")
        await self._wait_until(lambda: self._kept("struck"))

    async def paused(self) -> None:
        await self.yard.dispatcher()
        await self.client.control.pause("tenant", "acme", reason="w")
        await self._publish("j")
        await self._wait_until(lambda: self._kept("paused"))

    async def paused_lane(self) -> None:
        await self.client.control.pause("lane", "normal", reason="w")
        await self.yard.dispatcher()
        await self._publish("j")

    async def assigned(self) -> None:
        """At a worker, behind the one row."""
        await self._worker(rows=1)
        await self._publish("hold", prompt="hold")
        await self._holds(1)
        for number in range(12):
            await self._publish(f"n{number}", prompt="hold")
        await self._publish("j", prompt="hold")

    async def running(self) -> None:
        await self._worker()
        await self._publish("j", prompt="hold")
        await self._holds(1)

    async def prefilling(self) -> None:
        """Its row does not end before the step does, and this one never does."""
        await self._worker(StubbornEngine(rows=4, script=script))
        await self._publish("j", prompt="hold")
        await self._holds(1)

    async def retrying(self) -> None:
        await self._worker()
        await self._publish("j", prompt="fail")
        await self._wait_until(lambda: self._delayed())

    async def scheduled(self) -> None:
        await self.yard.dispatcher()
        self.job = (await self.client.submit("x", delay_seconds=3600)).id

    async def running_under_an_earlier_dispatcher(self) -> None:
        dispatcher = await self.yard.dispatcher("d0")
        await self.yard.worker(engine=EchoEngine(rows=4, script=script), drain_seconds=0.0)
        await self._publish("j", prompt="hold")
        await self._holds(1)
        await dispatcher.stop()
        await self.yard.dispatcher("d1")

    async def queued_without_a_dispatcher(self) -> None:
        await self._publish("j")

    async def running_without_a_dispatcher(self) -> None:
        dispatcher = await self.yard.dispatcher()
        await self.yard.worker(engine=EchoEngine(rows=4, script=script), drain_seconds=0.0)
        await self._publish("j", prompt="hold")
        await self._holds(1)
        await dispatcher.stop()

    async def running_in_an_emergency(self) -> None:
        engine = EchoEngine(rows=4, script=script)
        await self.yard.worker(engine=engine, drain_seconds=0.0, emergency=True, emergency_after_seconds=0.1)
        await self._publish("j", prompt="hold")
        await self._holds(1)

    names: ClassVar = (
        "queued",
        "parked",
        "struck",
        "paused",
        "paused_lane",
        "assigned",
        "running",
        "prefilling",
        "retrying",
        "scheduled",
        "running_under_an_earlier_dispatcher",
        "queued_without_a_dispatcher",
        "running_without_a_dispatcher",
        "running_in_an_emergency",
    )

    async def _worker(self, engine: EchoEngine | None = None, *, rows: int = 4) -> None:
        await self.yard.dispatcher()
        later: dict[str, Any] = {"retry_base_seconds": 600.0, "retry_cap_seconds": 600.0}
        engine = engine or EchoEngine(rows=rows, script=script)
        await self.yard.worker(engine=engine, drain_seconds=0.0, **later)

    async def _publish(self, name: str, prompt: str = "x") -> None:
        await self.yard.publish(Job(id=name, prompt=prompt))

    async def _taken(self, count: int) -> None:
        async def taken() -> bool:
            return (await self.yard.status()).taken >= count

        await self._wait_until(taken)

    async def _holds(self, count: int) -> None:
        async def holds() -> bool:
            return len((await self.yard.advert()).load.holding) == count

        await self._wait_until(holds)

    async def _kept(self, word: str) -> bool:
        return bool(getattr(await self.yard.status(), word) == 1)

    async def _delayed(self) -> bool:
        return await self.yard.left("delayed") == 1


@pytest.fixture
async def states(long_lease_yard: Yard, wait_until: WaitUntil) -> AsyncIterator[States]:
    async with Client(settings=long_lease_yard.settings, tenant="acme") as client:
        yield States(long_lease_yard, client, wait_until)


@pytest.mark.parametrize("state", States.names)
async def test_a_job_is_cancelled_in_every_state__e4(state: str, states: States) -> None:
    await getattr(states, state)()
    assert await states.client.handle(states.job).cancel() is CancelOutcome.CANCELLED
    assert (await states.yard.result(states.job)).state is ResultState.CANCELLED
    assert await states.client.handle(states.job).cancel() is not CancelOutcome.UNKNOWN


async def test_what_a_cancel_says_of_a_job_that_just_ends_is_so__e4(states: States) -> None:
    await states.running()
    for number in range(20):
        await states.yard.publish(Job(id=f"n{number}", prompt="x"))
        said = await states.client.handle(f"n{number}").cancel()
        ended = (await states.yard.result(f"n{number}")).state
        assert (said is CancelOutcome.CANCELLED) == (ended is ResultState.CANCELLED), number


@pytest.mark.usefixtures("patient_looks")
async def test_an_id_that_never_was_is_unknown__e4(states: States) -> None:
    await states.parked()
    assert await states.client.handle("typo").cancel() is CancelOutcome.UNKNOWN
    assert await states.yard.stored("j") is None, "the others are left alone"


async def test_a_cancel_just_after_the_bus_is_back_is_heard__e4(
    own_yard: Yard, own_server: RunningServer, wait_until: WaitUntil
) -> None:
    async with Client(settings=own_yard.settings, tenant="acme") as client:
        states = States(own_yard, client, wait_until)
        await states.running()
        own_server.kill()
        own_server.start()
        outcomes: list[CancelOutcome] = []

        async def heard() -> bool:
            with suppress(BusUnavailableError):  # its connection is back in a moment
                outcomes.append(await client.handle("j").cancel())
            return bool(outcomes)

        await wait_until(heard)
        assert outcomes == [CancelOutcome.CANCELLED]
        assert (await own_yard.result("j")).state is ResultState.CANCELLED


@pytest.mark.usefixtures("patient_looks")
async def test_many_are_cancelled_by_a_query_and_the_others_left_alone__e4(
    states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    yard, client = states.yard, states.client
    await states.running()
    for number in range(5):
        await yard.publish(Job(id=f"b{number}", prompt="hold", session="s"), lane=Lane.BULK)
    later = (await client.submit("x", lane="bulk", delay_seconds=3600)).id
    await yard.publish(Job(id="theirs", prompt="hold"), tenant="other", lane=Lane.BULK)
    fits = await client.cancel_where(CancelQuery(lane="bulk"), dry_run=True)
    assert set(fits.outcomes) == {later, *(f"b{number}" for number in range(5))}
    assert (await client.cancel_where(CancelQuery(older_than_seconds=3600))).outcomes == {}
    assert (await client.cancel_where(CancelQuery(adapter="base"))).outcomes == {}
    report = await client.cancel_where(CancelQuery(session="s"), most=2)
    assert (report.count(CancelOutcome.CANCELLED), report.beyond) == (2, 3)
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix, "--tenant", "acme"]
    said = ["cancel", "--lane", "bulk", "--json", *where]
    assert await asyncio.to_thread(run_command, said) == ExitCode.OK
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["jobs"]) >= 4
    for name in (later, *(f"b{number}" for number in range(5))):
        assert (await yard.result(name)).state is ResultState.CANCELLED
    assert await yard.stored("j") is None
    assert await yard.stored("theirs", tenant="other") is None
    many = await client.cancel_many(["j", "b0", "typo"])
    assert list(many.outcomes.values()) == ["cancelled", "finished", "unknown"]
    with pytest.raises(InvalidRequestError):
        await client.cancel_many(["no id"])
    assert await asyncio.to_thread(run_command, ["cancel", *where]) == ExitCode.USAGE
    assert await asyncio.to_thread(run_command, ["cancel", "nobody", *where]) == ExitCode.FAILED
    assert "job nobody is not known" in capsys.readouterr().out


async def test_a_job_that_fails_as_it_is_cancelled_ends_as_its_cancel_says__e4(
    long_lease_yard: Yard, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """Its prompt is gone, so that no row of the engine says that it ends."""
    yard = long_lease_yard
    told: list[CancelOutcome] = []
    decided = Attempts.again

    async def again(attempts: Attempts, held: HeldJob, failed: Failed) -> bool:
        told.append(await yard.cancel("j"))
        return await decided(attempts, held, failed)

    monkeypatch.setattr(Attempts, "again", again)
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt_ref=PayloadRef(key="k", sha256="0" * 64, size_bytes=1)))
    assert (await yard.result("j")).state is ResultState.CANCELLED

    async def answered() -> bool:  # which it is after the result is stored
        return bool(told)

    await wait_until(answered)
    assert told == [CancelOutcome.CANCELLED]
