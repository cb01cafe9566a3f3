"""Plays a plan once, from the start of its yard to the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.chaos.blows import WORKERS
from benchmarks.chaos.journal import read_journal
from benchmarks.chaos.judging import Evidence, job_id, judge
from benchmarks.chaos.operator import Operator
from benchmarks.chaos.orders import PROBES, Kind, Order
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.prober import Prober
from benchmarks.chaos.records import read_records, settled
from benchmarks.chaos.recovery import Recovery, counts_from_return, kind_of
from benchmarks.chaos.runs import Runs, deaths, read_runs, taken_up_again
from benchmarks.chaos.striking import Striker, Struck
from benchmarks.chaos.yard import SALT, ChaosYard, chaos_yard

from lorayard import Client
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus
from lorayard_shared.process import end_tasks

SETTLE_SECONDS: Final = 120.0
"""After the last blow, until the last result: deaths, leases and retries are over long before."""
LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    evidence: Evidence
    dealt: Sequence[Struck]
    recoveries: Sequence[Recovery]
    operated: tuple[int, int]
    """Acts of the operator that were done, and that were refused or came to nothing."""
    settled: bool
    violations: list[dict[str, Any]]
    seconds: float
    lines: Sequence[str]

    @property
    def failed(self) -> bool:
        """Whether something must not be."""
        return bool(self.violations) or not self.settled


async def play(plan: Plan, folder: Path) -> Outcome:
    """Run it once."""
    began, journal = time.monotonic(), folder / "journal"
    draw, mutations = Random(f"weather {plan.seed}"), ",".join(plan.mutations)
    async with AsyncExitStack() as stack:
        yard = await stack.enter_async_context(
            chaos_yard(folder, nodes=plan.nodes, draw=draw, has_gateway=plan.has_gateway, mutations=mutations)
        )
        bus = await stack.enter_async_context(await connect_when_up(yard.settings, name="ledger"))
        client = Client(settings=yard.settings, tenant=PROBES, idempotency_salt=SALT)
        await stack.enter_async_context(client)
        operator, prober = Operator(client, folder), Prober(client)
        await operator.set_up()
        kinds = ",".join(plan.kinds)
        yard.start_publisher((str(journal), str(plan.seed), str(plan.jobs), str(plan.seconds), kinds))
        striker = Striker(yard, bus)
        measured = await _under_blows(plan, striker, prober, operator, journal)
        await _published(journal, end=time.monotonic() + SETTLE_SECONDS)
        await asyncio.wait_for(prober.finish(), SETTLE_SECONDS)
        await operator.finish()
        whole = await settled(bus, _wanted([*plan.orders, *prober.orders]), seconds=SETTLE_SECONDS)
        evidence = await _gather(plan, yard, bus, striker, prober, operator, journal)
        violations = await judge(bus, evidence)
    return Outcome(
        plan=plan,
        evidence=evidence,
        dealt=striker.dealt,
        recoveries=[*measured, *_worker_recoveries(striker.dealt, evidence)],
        operated=(operator.done, operator.refused),
        settled=whole,
        violations=violations,
        seconds=time.monotonic() - began,
        lines=yard.lines,
    )


async def _under_blows(
    plan: Plan, striker: Striker, prober: Prober, operator: Operator, journal: Path
) -> list[Recovery]:
    """From the first accepted job on, each at its time, whatever the others still wait for."""
    while not read_journal(journal)[0]:  # noqa: ASYNC110  # another process writes it
        await asyncio.sleep(LOOK_SECONDS)
    operating = [asyncio.create_task(operator.work(), name="operator")] if plan.operates else []
    started, measured = time.monotonic(), list[Recovery]()
    try:
        async with asyncio.TaskGroup() as group:
            for blow in plan.blows:
                await asyncio.sleep(max(0.0, started + blow.at_seconds - time.monotonic()))
                what = kind_of(blow) if blow.alone else None
                if what is None or what == "worker kill":
                    group.create_task(striker.strike(blow), name=str(blow))
                    continue
                striking = group.create_task(striker.strike(blow), name=str(blow))
                if counts_from_return(what):
                    await striking
                measured.append(Recovery(what=what, seconds=await prober.seconds()))
            await asyncio.sleep(max(0.0, started + plan.seconds - time.monotonic()))
    finally:
        await end_tasks(operating)
    return measured


async def _published(journal: Path, *, end: float) -> None:
    while not read_journal(journal)[1] and time.monotonic() < end:  # noqa: ASYNC110  # as above
        await asyncio.sleep(LOOK_SECONDS)


def _wanted(orders: Sequence[Order]) -> int:
    return sum(order.kind is not Kind.GHOST for order in orders)


async def _gather(
    plan: Plan,
    yard: ChaosYard,
    bus: Bus,
    striker: Striker,
    prober: Prober,
    operator: Operator,
    journal: Path,
) -> Evidence:
    entries, _ = read_journal(journal)
    runs: Runs = read_runs(yard.folder, WORKERS, time.time() - time.monotonic())
    return Evidence(
        orders=[*plan.orders, *prober.orders],
        entries={**entries, **prober.entries},
        records=await read_records(bus),
        runs=runs,
        revisions=operator.revisions,
        dealt=[(struck.at, struck.over or time.time()) for struck in striker.dealt] + deaths(runs),
        given_up=yard.given_up,
    )


def _worker_recoveries(dealt: Sequence[Struck], evidence: Evidence) -> list[Recovery]:
    ended: dict[str, float] = {}
    for order in evidence.orders:
        results: Sequence[JobResult] = evidence.records.results.get(job_id(order), ())
        if results:
            ended[order.key] = results[0].finished_at
    return [
        Recovery(what="worker kill", seconds=seconds)
        for struck in dealt
        if struck.blow.alone and kind_of(struck.blow) == "worker kill"
        for seconds in taken_up_again(evidence.runs, struck.blow.target, struck.at, ended)
    ]
