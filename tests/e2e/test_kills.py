"""kill -9 of any process at any moment loses no accepted job and stores no second result (G1, E3).

A real yard (server, dispatcher, two workers with a tiny real model) answers jobs over three adapters, and
over sums and merges of them, while its processes are killed at random. The test's ledger is compared with
what the stream stored.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from lorayard import Client, Composition, EventKind, GenerateRequest, JobHandle, Result
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import TINY_ADAPTERS
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

COMPOSED_JOBS = 80
COMPOSED_KILLS = ("w1", "dispatcher")
COMPOSED_PROMPTS = 4
COMPOSITIONS = (
    Composition({TINY_ADAPTERS[0]: 1.5, TINY_ADAPTERS[1]: -0.5}),
    Composition({TINY_ADAPTERS[1]: 1.0, TINY_ADAPTERS[2]: 0.5}, policy="ties", density=0.5),
)


@dataclass(slots=True)
class Ledger:
    """What was promised, and what came of it."""

    asked: dict[str, GenerateRequest] = field(default_factory=dict[str, GenerateRequest])
    answered: dict[str, Result] = field(default_factory=dict[str, Result])
    open_at_kill: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Who was killed, with how many jobs still unanswered."""


@pytest.fixture
def plan(tiny_plan: YardPlan) -> YardPlan:
    leases = {"LORAYARD_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS)}
    return replace(tiny_plan, environment={**tiny_plan.environment, **leases})


async def test_every_job_is_answered_exactly_once_whoever_is_killed(plan: YardPlan) -> None:
    """G1, E3: 200 jobs, three adapters, workers, dispatcher and bus killed at random moments."""
    ledger, stored = await _answered_under_fire(plan, _requests(), KILLS)
    assert Counter(result.state for result in ledger.answered.values()) == {"succeeded": JOBS}
    assert stored == Counter(ledger.asked.keys()), "each job has one stored result, and no result is nobody's"
    for job, request in ledger.asked.items():
        assert ledger.answered[job].adapter == request.adapter


async def test_composed_jobs_are_answered_exactly_once_with_one_recipe_whoever_is_killed__c7__g1(
    plan: YardPlan,
) -> None:
    """Sums and merges, some begun again by another worker: each reads as if nothing had been."""
    ledger, stored = await _answered_under_fire(plan, _composed_requests(), COMPOSED_KILLS)
    assert Counter(result.state for result in ledger.answered.values()) == {"succeeded": COMPOSED_JOBS}
    assert stored == Counter(ledger.asked.keys()), "each job has one stored result, and no result is nobody's"
    recipes: dict[Composition, set[str]] = {}
    texts: dict[tuple[Composition, str], set[str]] = {}
    for job, request in ledger.asked.items():
        result, asked = ledger.answered[job], request.composition
        assert asked is not None
        assert result.composition is not None
        assert {part.name: part.weight for part in result.composition.parts} == dict(asked.adapters)
        recipes.setdefault(asked, set()).add(result.composition.digest)
        texts.setdefault((asked, str(request.prompt)), set()).add(result.text)
    assert [len(digests) for digests in recipes.values()] == [1, 1]
    assert len({digest for digests in recipes.values() for digest in digests}) == len(COMPOSITIONS)
    assert {len(found) for found in texts.values()} == {1}, "greedy in fp32: no half recipe"
    assert {result.worker for result in ledger.answered.values()} == {"w1", "w2"}


async def _answered_under_fire(
    plan: YardPlan, requests: Sequence[GenerateRequest], kills: Sequence[str]
) -> tuple[Ledger, Counter[str]]:
    """What came of the requests, and which results the stream has stored."""
    ledger = Ledger()
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        report = await client.submit_many(requests)
        handles = report.all_handles()
        for handle, request in zip(handles, requests, strict=True):
            ledger.asked[handle.id] = request
        killing = asyncio.create_task(_kill_at_random(yard, ledger, kills))
        await asyncio.gather(*(_follow(handle, ledger) for handle in handles))
        await killing
        async with await connect(yard.settings, name="auditor") as bus:
            stored = await _stored_results(bus)
            await _nothing_is_left(bus)
            await _leases_live_as_planned(bus)
    assert [name for name, _ in ledger.open_at_kill] == list(kills)
    assert all(count > 0 for _, count in ledger.open_at_kill), "each kill must hit a yard at work"
    return ledger, stored


def _requests() -> list[GenerateRequest]:
    adapters = [*TINY_ADAPTERS, None]
    return [
        GenerateRequest(
            prompt=f"document {number}: the quick brown fox",
            adapter=adapters[number % len(adapters)],
            max_new_tokens=96,
            stream=True,
        )
        for number in range(JOBS)
    ]


def _composed_requests() -> list[GenerateRequest]:
    return [
        GenerateRequest(
            prompt=f"document {number % COMPOSED_PROMPTS}: the quick brown fox",
            composition=COMPOSITIONS[number % len(COMPOSITIONS)],
            max_new_tokens=96,
        )
        for number in range(COMPOSED_JOBS)
    ]


async def _follow(handle: JobHandle, ledger: Ledger) -> None:
    """Whoever is killed in mid-stream: what was heard of a job is its answer in the end."""
    text = ""
    async for event in handle.events():
        text = "" if event.kind is EventKind.RESTARTED else text + event.text
    result = ledger.answered[handle.id] = await handle.outcome()
    assert text == result.text


async def _kill_at_random(yard: EmbeddedYard, ledger: Ledger, kills: Sequence[str]) -> None:
    """One after the other, at moments drawn from the seed, each once it is running again."""
    draw = random.Random(SEED)
    for name in kills:
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
