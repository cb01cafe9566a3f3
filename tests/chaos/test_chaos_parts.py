"""The parts of the chaos suite: plans, wires, measuring, judging, and the search for the fewest blows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from benchmarks.chaos.blows import ALL_DISPATCHERS, LEADER, Blow, Weapon, arms_for, draw_blows
from benchmarks.chaos.journal import Entry
from benchmarks.chaos.judging import Evidence, made_wrongly, ran_too_often, whole_faults
from benchmarks.chaos.minimize import minimize
from benchmarks.chaos.orders import ALIAS, ROLLING, Kind, Order, probe
from benchmarks.chaos.plan import Plan, draw_plan, read_plan, write_plan
from benchmarks.chaos.records import Records
from benchmarks.chaos.recovery import Recovery, kind_of, recovery_table
from benchmarks.chaos.runs import Run, read_runs, taken_up_again
from benchmarks.chaos.wire import Wire

from lorayard import GenerateRequest
from lorayard_schemas.alias import AliasRecord, AliasRef, Arm
from lorayard_schemas.result import JobResult, Maker, ResultState

EVIDENCE = Evidence(orders=[], entries={}, records=Records(), runs={}, revisions={}, dealt=[], given_up=[])
DIGEST = f"sha256:{'a' * 64}"
REVISIONS = {
    1: AliasRecord(adapter=ROLLING, alias="stable", revision=1, arms=(Arm(version="1", weight=100.0),)),
    2: AliasRecord(adapter=ROLLING, alias="stable", revision=2, arms=(Arm(version="2", weight=100.0),)),
}


def ended(version: str | None = None, revision: int | None = None, **told: object) -> JobResult:
    alias = None if revision is None else AliasRef(name=ALIAS, revision=revision)
    maker = Maker(worker="w1", adapter=ROLLING, version=version, digest=DIGEST, alias=alias)
    result = JobResult(job="j", tenant="t", state=ResultState.SUCCEEDED, maker=maker, finished_at=100.0)
    return result.model_copy(update=told)


# ---- plans


def test_a_seed_draws_the_same_plan_and_a_written_one_is_read_as_it_was(tmp_path: Path) -> None:
    bare = Plan(seed=1, jobs=10, seconds=200.0, nodes=3, kinds=(Kind.PLAIN,))
    plan = draw_plan(bare, disks=True, clocks=True)
    assert plan == draw_plan(bare, disks=True, clocks=True) != draw_plan(bare, disks=False, clocks=True)
    assert {blow.weapon for blow in plan.blows} == set(Weapon)
    write_plan(plan, tmp_path / "runs" / "plan.json")
    assert read_plan(tmp_path / "runs" / "plan.json") == plan


def test_a_run_ends_with_kills_that_are_alone() -> None:
    blows = draw_blows(Random(1), 200.0, arms_for(1, disks=True, clocks=False))
    alone = [blow for blow in blows if blow.alone]
    assert {blow.weapon for blow in alone} == {Weapon.KILL}
    assert not any(blow.alone for blow in blows[: -len(alone)])
    gaps = [after.at_seconds - before.at_seconds for before, after in pairwise(alone)]
    assert min(gaps) > 5


def test_nothing_is_drawn_that_cannot_be_done_here() -> None:
    weapons = {weapon for weapon, _ in arms_for(1, disks=False, clocks=False)}
    assert weapons == set(Weapon) - {Weapon.DISK_FULL, Weapon.CLOCK}
    assert (Weapon.STOP, ALL_DISPATCHERS) in arms_for(1, disks=False, clocks=False)
    assert (Weapon.KILL, LEADER) in arms_for(3, disks=False, clocks=False)


# ---- wires


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(1024):
            writer.write(block)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def wire(echo_port: int) -> AsyncIterator[Wire]:
    wire = Wire([echo_port], Random(1))
    await wire.open()
    yield wire
    await wire.close()


@asynccontextmanager
async def connected(wire: Wire) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_wire_that_is_cut_holds_back_and_loses_nothing(wire: Wire) -> None:
    async with connected(wire) as (reader, writer):
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        wire.set(Weapon.CUT)
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        wire.set(None)
        assert await reader.readexactly(3) == b"two"


async def test_a_wire_that_is_reset_ends_its_connections_and_takes_others_when_it_is_over(wire: Wire) -> None:
    async with connected(wire) as (reader, writer):
        writer.write(b"one")
        await reader.readexactly(3)
        wire.set(Weapon.RESET)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    wire.set(None)
    async with connected(wire) as (reader, writer):
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"


@pytest.mark.parametrize("weapon", [Weapon.DELAY, Weapon.LOSS, Weapon.SLOW])
async def test_under_any_weather_bytes_come_whole_and_in_order_or_the_connection_ends(
    wire: Wire, weapon: Weapon
) -> None:
    wire.set(weapon, 0.01)
    sent = bytes(range(256)) * 4
    async with connected(wire) as (reader, writer):
        writer.write(sent)
        try:
            assert await reader.readexactly(len(sent)) == sent
        except (ConnectionError, asyncio.IncompleteReadError):
            assert weapon is Weapon.LOSS


# ---- what is measured


def test_a_job_is_taken_up_again_when_another_run_of_it_begins(tmp_path: Path) -> None:
    (tmp_path / "runs-w1").write_text("1.0 0 plain order-1-plain\n5.0 0 slow 1.0 order-2-slow\n", "utf-8")
    (tmp_path / "runs-w2").write_text("8.5 0 slow 1.0 order-2-slow\n", "utf-8")
    runs = read_runs(tmp_path, ("w1", "w2", "w3"), 100.0)
    assert runs["order-2-slow"] == [Run(worker="w1", at=105.0), Run(worker="w2", at=108.5)]
    ends = {"order-1-plain": 101.0, "order-2-slow": 110.0}
    assert taken_up_again(runs, "w1", 106.0, ends) == [2.5]
    assert not taken_up_again(runs, "w2", 106.0, ends), "it was not there"


def test_what_is_measured_stands_beside_what_must_be() -> None:
    kill = Blow(at_seconds=1.0, target="w1", weapon=Weapon.KILL)
    assert kind_of(kill) == "worker kill"
    assert kind_of(replace(kill, target=LEADER)) == "leader kill"
    assert kind_of(replace(kill, weapon=Weapon.TERM)) is None
    table = recovery_table([Recovery(what="worker kill", seconds=seconds) for seconds in (1.0, 4.5)])
    assert table["worker kill"] == {
        "count": 2,
        "p50_seconds": 1.0,
        "p99_seconds": 4.5,
        "must_seconds": 4.0,
        "kept": False,
    }


# ---- what is judged


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (ended("1", 1), ""),
        (ended("2", 1), "did not allow 2"),
        (ended("1", 3), "never had revision 3"),
        (ended("1"), "answered by None"),
        (ended(None), "answered by no version"),
        (ended(maker=None), "answered by no version"),
        (ended(maker=None, state=ResultState.FAILED), ""),
    ],
)
def test_an_answer_is_of_a_version_that_its_alias_allowed__d4(result: JobResult, told: str) -> None:
    order = Order(key="k", kind=Kind.ALIAS, tenant="t", request=GenerateRequest("x", adapter=ALIAS))
    found = made_wrongly(order, result, REVISIONS)
    assert told in found
    assert bool(told) == bool(found)


@pytest.mark.parametrize(
    ("named", "made", "told"),
    [
        (ROLLING, ROLLING, ""),
        (ROLLING, "acme/tiny/other", "answered by acme/tiny/other"),
        (ROLLING, None, "answered by None"),
        ("base", None, ""),
        (None, None, ""),
        ("base", ROLLING, f"answered by {ROLLING}"),
    ],
)
def test_an_answer_is_of_the_adapter_that_its_job_names__b1(
    named: str | None, made: str | None, told: str
) -> None:
    order = Order(key="k", kind=Kind.PLAIN, tenant="t", request=GenerateRequest("x", adapter=named))
    found = made_wrongly(order, ended(maker=Maker(worker="w1", adapter=made)), {})
    assert told in found
    assert bool(told) == bool(found)


def test_a_run_too_many_is_a_fault_where_no_blow_explains_it() -> None:
    order, entry = probe(0), Entry(submitted_at=90.0)
    evidence = replace(EVIDENCE, runs={order.key: [Run(worker="w1", at=91.0), Run(worker="w2", at=95.0)]})
    assert "ran 2 times" in ran_too_often(order, ended(), entry, evidence)
    assert not ran_too_often(order, ended(attempt=2), entry, evidence)
    assert not ran_too_often(order, ended(), entry, replace(evidence, dealt=[(92.0, 92.0)]))
    assert ran_too_often(order, ended(), entry, replace(evidence, dealt=[(50.0, 60.0)])), "long before"
    assert ran_too_often(order, ended(), entry, replace(evidence, dealt=[(101.0, 102.0)])), "afterwards"


def test_what_is_wrong_with_the_whole_yard_is_found() -> None:
    assert not whole_faults(EVIDENCE)
    records = Records(gaps=1, left={"YARD_JOBS": 2}, misfiled=["results.a.b"], again=1)
    told = " ".join(whole_faults(replace(EVIDENCE, records=records, given_up=["w1 ended"])))
    for part in ("1 results", "'YARD_JOBS': 2", "under results.a.b", "1 deliveries", "w1 ended"):
        assert part in told


# ---- the fewest blows


@pytest.mark.parametrize("guilty", [{3}, {2, 11}, {0, 7, 15}, set(range(16))])
async def test_the_fewest_blows_are_those_that_it_takes(guilty: set[int]) -> None:
    asked: list[list[int]] = []

    async def fails(items: list[int]) -> bool:
        asked.append(items)
        return guilty <= set(items)

    assert set(await minimize(list(range(16)), fails, tries=200)) == guilty
    assert all(len(items) < 16 for items in asked)


async def test_a_search_ends_with_its_tries_and_what_it_gives_has_failed() -> None:
    async def fails(items: list[int]) -> bool:
        return 3 in items

    left = await minimize(list(range(16)), fails, tries=2)
    assert 3 in left
    assert 1 < len(left) < 16
