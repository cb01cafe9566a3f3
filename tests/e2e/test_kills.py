"""kill -9 of any process at any moment loses no accepted job and stores no second result (G1, E3).

A real yard (server, dispatcher, two workers with a tiny real model) answers 200 jobs over three adapters
while its processes are killed at random. The test's ledger is compared with what the stream stored.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lorayard import Client, GenerateRequest, JobHandle, Result
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import TINY_ADAPTERS, provide
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_schemas.codec import decode
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.topology import NANOSECONDS, topology

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEED = 20260
JOBS = 200
ACK_WAIT_SECONDS = 3
KILLS = ("w1", "dispatcher", "bus", "w2", "dispatcher", "bus")


@dataclass(slots=True)
class Ledger:
    """What was promised, and what came of it."""

    asked: dict[str, str] = field(default_factory=dict[str, str])
    answered: dict[str, Result] = field(default_factory=dict[str, Result])
    open_at_kill: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Who was killed, with how many jobs still unanswered."""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> YardPlan:
    monkeypatch.setenv("LORAYARD_MODELS_DIR", str(tmp_path / "models"))
    wanted = YardPlan(
        data=tmp_path / "data",
        model="tiny",
        port=0,
        slots=2,
        rows=4,
        threads=1,
        environment={
            "LORAYARD_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS),
            "LORAYARD_MODELS_DIR": str(tmp_path / "models"),
            "LORAYARD_DTYPE": "fp32",
        },
    )
    return provide(wanted, progress=lambda _line: None)


async def test_every_job_is_answered_exactly_once_whoever_is_killed(plan: YardPlan) -> None:
    """G1, E3: 200 jobs, three adapters, workers, dispatcher and bus killed at random moments."""
    ledger = Ledger()
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        report = await client.submit_many(_requests())
        handles = report.all_handles()
        for handle, request in zip(handles, _requests(), strict=True):
            ledger.asked[handle.id] = request.adapter or "base"
        killing = asyncio.create_task(_kill_at_random(yard, ledger))
        await asyncio.gather(*(_follow(handle, ledger) for handle in handles))
        await killing
        async with await connect(yard.settings, name="auditor") as bus:
            stored = await _stored_results(bus)
            await _nothing_is_left(bus)
            await _leases_live_as_planned(bus)

    assert [name for name, _ in ledger.open_at_kill] == list(KILLS)
    assert all(count > 0 for _, count in ledger.open_at_kill), "each kill must hit a yard at work"
    assert Counter(result.state for result in ledger.answered.values()) == {"succeeded": JOBS}
    assert stored == Counter(ledger.asked.keys()), "each job has one stored result, and no result is nobody's"
    for job, adapter in ledger.asked.items():
        assert (ledger.answered[job].adapter or "base") == adapter


def _requests() -> list[GenerateRequest]:
    adapters = [*TINY_ADAPTERS, None]
    return [
        GenerateRequest(
            prompt=f"document {number}: the quick brown fox",
            adapter=adapters[number % len(adapters)],
            max_new_tokens=96,
        )
        for number in range(JOBS)
    ]


async def _follow(handle: JobHandle, ledger: Ledger) -> None:
    ledger.answered[handle.id] = await handle.outcome()


async def _kill_at_random(yard: EmbeddedYard, ledger: Ledger) -> None:
    """One after the other, at moments drawn from the seed, each once it is running again."""
    draw = random.Random(SEED)
    for name in KILLS:
        await asyncio.sleep(draw.uniform(0.1, 0.8))  # the moment is the point of the test
        while (pid := yard.pids[name]) is None:  # noqa: ASYNC110  # the supervisor tells only when asked
            await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        ledger.open_at_kill.append((name, len(ledger.asked) - len(ledger.answered)))


async def _stored_results(bus: Bus) -> Counter[str]:
    """Every message the results stream has ever stored, by job: a second result would show as a 2."""
    info = await bus.js.stream_info(bus.subjects.stream("results"))
    jobs: list[str] = []
    for sequence in range(1, info.state.last_seq + 1):
        message = await bus.js.get_msg(bus.subjects.stream("results"), sequence, direct=True)
        jobs.append(decode(JobResult, message.data or b"").job)
    return Counter(jobs)


async def _nothing_is_left(bus: Bus) -> None:
    """An answered job leaves its stream; the last acks may come only after a redelivery."""
    async with asyncio.timeout(30):
        while (await bus.js.stream_info(bus.subjects.stream("jobs"))).state.messages:  # noqa: ASYNC110  # the server is asked
            await asyncio.sleep(0.1)


async def _leases_live_as_planned(bus: Bus) -> None:
    """Workers renew by the plan's `ack_wait`, so the server has to have the same one."""
    for consumer in topology(bus.settings).consumers:
        info = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
        assert info["config"]["ack_wait"] == ACK_WAIT_SECONDS * NANOSECONDS
