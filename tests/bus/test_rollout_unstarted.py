"""What lies at a worker and has not begun follows a flip, as what waits at the dispatcher does (D4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job
from lorayard_schemas.order import AdapterOrder, OrderOutcome, OrderReply, OrderVerb
from lorayard_schemas.result import Maker
from lorayard_schemas.routes import Match, RouteRule, RouteTable
from lorayard_schemas.strike import Strike
from lorayard_shared.jobs.split import pick
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.strike_store import StrikeStore
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

STABLE = f"{ADAPTER}@stable"
ANA = Author(actor="ana", reason="it rambles")
JOBS = [f"j{number}" for number in range(12)]
SOME = 4
"""So many at least are given to a worker beyond its rows where many wait."""


class Script:
    """One job runs until it is cancelled, all others wait for its row; and what each ran with last."""

    def __init__(self) -> None:
        self.adapter_of: dict[str, str | None] = {}

    def __call__(self, request: GenerationRequest) -> Scripted:
        self.adapter_of[request.request_id] = request.adapter
        return Scripted(delay_seconds=3600.0 if request.prompt == "hold" else 0.001)


class Full:
    """A worker whose one row is taken, so that whatever it gets lies there."""

    def __init__(self, yard: Yard, wait_until: WaitUntil) -> None:
        self.yard = yard
        self.script = Script()
        self.engine = EchoEngine(rows=1, script=self.script)
        self.aliases = AliasStore(yard.bus)
        self.versions: dict[str, AdapterRecord] = {}
        self.numbers: dict[int, str] = {}
        """Sequence of a job's message -> the job."""
        self._wait_until = wait_until

    async def publish(self, jobs: list[str], adapter: str | None = STABLE, **given: Any) -> None:
        for job in jobs:
            number = await self.yard.publish(Job(id=job, prompt="x", **given), adapter=adapter)
            self.numbers[number] = job

    async def lying(self, version: str) -> set[str]:
        """Jobs that the worker has with this version."""
        held = (await self.yard.advert()).load.holding
        digest = self.versions[version].digest
        mine = [key for key in held if self.script.adapter_of.get(key) == digest]
        return {self.numbers[int(key.rpartition("-")[2])] for key in mine}

    async def lie_there(self, version: str) -> set[str]:
        """Wait until some do."""
        await self._wait_until(lambda: self._lies(version, SOME))
        return await self.lying(version)

    async def _lies(self, version: str, least: int) -> bool:
        return len(await self.lying(version)) >= least

    async def left(self, version: str, *jobs: str) -> None:
        """Wait until none does but these."""

        async def left() -> bool:
            return await self.lying(version) == {*jobs}

        await self._wait_until(left)

    async def split(self, *weights: tuple[str, float]) -> None:
        wish = SplitWish(adapter=ADAPTER, alias="stable", weights=weights)
        await self.aliases.split(wish, self.versions, ANA)

    async def worker(self, folder: Path, **given: Any) -> None:
        """Start it with both versions in slots, and take its row."""
        usual: dict[str, Any] = {"rows": 1, "lookahead": 15, "pulled_dir": folder / "pulled"}
        await self.yard.worker(engine=self.engine, **usual, **given)
        for record in self.versions.values():
            await self.order(OrderVerb.LOAD, record.digest)
        await self.hold()

    async def hold(self, job: str = "hold", adapter: str | None = None) -> None:
        number = await self.yard.publish(Job(id=job, prompt="hold"), adapter=adapter)
        self.numbers[number] = job
        await self._wait_until(lambda: number in self.running())

    def running(self) -> set[int]:
        """Messages whose jobs have a row: all that were submitted, where none waits."""
        now = self.engine.residency()
        keys = self.script.adapter_of if now.rows_running and not now.queued else ()
        return {int(key.rpartition("-")[2]) for key in keys}

    async def order(self, verb: OrderVerb, digest: str) -> None:
        """As a dispatcher would that keeps adapters in their places."""
        body = encode(AdapterOrder(digests=(digest,)))
        subject = self.yard.bus.subjects.control("w1", verb)

        async def followed() -> bool:
            reply = decode(OrderReply, (await self.yard.bus.nc.request(subject, body, timeout=30)).data)
            return reply.answers[0].outcome is OrderOutcome.THERE

        await self._wait_until(followed)

    async def free(self) -> None:
        """The row that is held is free, and all that lies there runs."""
        assert await self.yard.cancel("hold") == CancelOutcome.CANCELLED

    async def made(self, jobs: Iterable[str]) -> list[Maker]:
        results = [await self.yard.result(job) for job in jobs]
        assert {result.attempt for result in results} == {1}
        return [result.maker for result in results if result.maker is not None]

    async def bound(self, jobs: Iterable[str]) -> set[tuple[int, str | None]]:
        return {(made.alias.revision, made.version) for made in await self.made(jobs) if made.alias}


@pytest.fixture
async def full(long_lease_yard: Yard, tmp_path: Path, wait_until: WaitUntil) -> Full:
    """Leases outlast the test, so that what moves was given back, and a lapse would be poison."""
    yard = long_lease_yard
    full = Full(yard, wait_until)
    records = Records(yard.bus)
    async with Client(settings=yard.settings) as client:
        for version in ("1", "2"):
            folder = make_tiny_adapter(tmp_path / f"v{version}", seed=int(version), targets=("q_proj",))
            await client.adapters.push(folder, name=ADAPTER, version=version)
            for state in (AdapterState.VALIDATED, AdapterState.ACTIVE):
                kept = await records.move(ADAPTER, version, state, ANA, verb="activate")
            full.versions[version] = kept.record
    return full


@pytest.fixture
async def started(full: Full, tmp_path: Path) -> Full:
    """With a dispatcher, and the row taken."""
    await full.yard.dispatcher(max_interruptions=1)
    await full.worker(tmp_path)
    return full


async def test_what_has_not_begun_at_a_worker_goes_with_the_alias__d4(started: Full) -> None:
    await started.split(("1", 100.0))
    await started.publish(["named"], f"{ADAPTER}@1")
    await started.publish(JOBS)
    assert "named" in await started.lie_there("1")
    await started.split(("2", 100.0))
    await started.left("1", "named")
    await started.free()
    assert await started.bound(JOBS) == {(2, "2")}
    (named,) = await started.made(["named"])
    assert (named.version, named.alias) == ("1", None)
    status = await started.yard.status()
    assert (status.lapsed, status.refused) == (0, 0)


async def test_a_share_that_only_shrinks_moves_nothing_that_lies_at_a_worker__d4(
    started: Full, wait_until: WaitUntil
) -> None:
    await started.split(("1", 100.0))
    await started.publish(JOBS)
    there = await started.lie_there("1")
    shares = (("1", 0.5), ("2", 99.5))
    await started.split(*shares)
    after = next(f"k{n}" for n in range(100) if pick(shares, STABLE, f"job\0acme\0k{n}") == "2")
    await started.publish([after])

    async def known() -> bool:
        parked = {group.adapter for group in (await started.yard.status()).parked}
        return f"{ADAPTER}@2" in parked or after in await started.lying("2")

    await wait_until(known)
    await started.free()
    assert await started.bound(there) == {(1, "1")}
    assert await started.bound([after]) == {(2, "2")}


async def test_what_has_begun_runs_on_and_names_its_revision__d4(started: Full) -> None:
    await started.split(("1", 100.0))
    await started.free()
    await started.hold("begun", STABLE)
    await started.publish(JOBS)
    await started.lie_there("1")
    await started.split(("2", 100.0))
    await started.left("1", "begun")
    assert await started.yard.cancel("begun") == CancelOutcome.CANCELLED
    assert await started.bound(["begun"]) == {(1, "1")}
    assert await started.bound(JOBS) == {(2, "2")}


async def test_what_a_rule_led_to_a_worker_goes_with_the_rules__b1(started: Full) -> None:
    await rule(started, f"{ADAPTER}@1")
    await started.publish(JOBS, None, task="sums")
    await started.lie_there("1")
    await rule(started, f"{ADAPTER}@2")
    await started.left("1")
    await started.free()
    assert {made.version for made in await started.made(JOBS)} == {"2"}


async def rule(full: Full, adapter: str) -> None:
    rules = (RouteRule(name="sums", task=Match(exact="sums"), adapter=adapter),)
    await RouteStore(full.yard.bus).put(RouteTable(rules=rules), ANA)


async def test_what_is_struck_before_it_has_begun_at_a_worker_waits__d6(
    started: Full, wait_until: WaitUntil
) -> None:
    await started.publish(JOBS, f"{ADAPTER}@1")
    await started.lie_there("1")
    strikes = StrikeStore(started.yard.bus)
    await strikes.add(Strike(adapter=f"{ADAPTER}@1", why="it rambles"), ANA)

    async def struck() -> bool:
        return (await started.yard.status()).struck == len(JOBS)

    await wait_until(struck)
    await strikes.lift(f"{ADAPTER}@1", None, ANA)
    await started.free()
    assert {made.version for made in await started.made(JOBS)} == {"1"}


async def test_a_flip_while_no_dispatcher_lived_is_followed_by_the_next_one__d4(
    full: Full, tmp_path: Path
) -> None:
    first = await full.yard.dispatcher("d1")
    await full.worker(tmp_path)
    await full.split(("1", 100.0))
    await full.publish(JOBS)
    await full.lie_there("1")
    await first.stop()
    await full.split(("2", 100.0))
    await full.yard.dispatcher("d2")
    await full.left("1")
    await full.free()
    assert await full.bound(JOBS) == {(2, "2")}


async def test_workers_follow_a_flip_by_themselves_while_no_dispatcher_lives__d4(
    full: Full, tmp_path: Path, wait_until: WaitUntil
) -> None:
    await full.worker(tmp_path, emergency=True, emergency_after_seconds=0.3)
    await full.split(("1", 100.0))
    await full.publish(JOBS)
    await full.lie_there("1")
    await full.split(("2", 100.0))
    await full.left("1")
    await full.free()
    assert await full.bound(JOBS) == {(2, "2")}


async def test_workers_follow_rules_by_themselves_while_no_dispatcher_lives__b1(
    full: Full, tmp_path: Path, wait_until: WaitUntil
) -> None:
    await rule(full, f"{ADAPTER}@1")
    await full.worker(tmp_path, emergency=True, emergency_after_seconds=0.3)
    await full.publish(JOBS, None, task="sums")
    await full.lie_there("1")
    await rule(full, f"{ADAPTER}@2")
    await full.left("1")
    await full.free()
    assert {made.version for made in await full.made(JOBS)} == {"2"}


async def test_a_job_that_a_worker_gives_back_is_not_taken_for_its_victim__g1(started: Full) -> None:
    """Interrupted once it would be poison here."""
    digest = started.versions["2"].digest
    await started.publish(JOBS, f"{ADAPTER}@1")
    await started.lie_there("1")
    await started.order(OrderVerb.DEDICATE, digest)
    await started.left("1")
    await started.order(OrderVerb.UNDEDICATE, digest)
    await started.free()
    assert {made.version for made in await started.made(JOBS)} == {"1"}
    assert (await started.yard.status()).lapsed == 0


async def test_jobs_of_a_tenant_that_is_shut_out_run_nowhere_unless_they_have_begun__d7(
    started: Full,
) -> None:
    """One has the row, some lie behind it, and some wait at the dispatcher."""
    await started.free()
    await started.hold("begun", f"{ADAPTER}@1")
    await started.publish(JOBS, f"{ADAPTER}@1")
    await started.lie_there("1")
    async with Client(settings=started.yard.settings) as client:
        await client.adapters.amend(f"{ADAPTER}@1", tenants=["other"])
    refused = [await started.yard.result(job) for job in JOBS]
    assert {result.error.code for result in refused if result.error} == {"unknown_adapter"}
    assert not any("other" in result.error.message for result in refused if result.error)
    await started.left("1", "begun")
    assert await started.yard.cancel("begun") == CancelOutcome.CANCELLED
    (begun,) = await started.made(["begun"])
    assert begun.version == "1"


async def test_and_without_a_dispatcher_as_well__d7__f2(full: Full, tmp_path: Path) -> None:
    await full.worker(tmp_path, emergency=True, emergency_after_seconds=0.3)
    await full.publish(JOBS, f"{ADAPTER}@1")
    await full.lie_there("1")
    async with Client(settings=full.yard.settings) as client:
        await client.adapters.amend(f"{ADAPTER}@1", tenants=["other"])
    refused = [await full.yard.result(job) for job in JOBS]
    assert {result.error.code for result in refused if result.error} == {"unknown_adapter"}
