"""Tenants share by what their jobs really used, on the real bus (B9)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bus.conftest import Yard

from lorayard_dispatcher.plan_log import read_plan_log
from lorayard_dispatcher.planning.recording import replay
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import FinishReason, Succeeded, Tier, Timings
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus

QUANTUM_TOKENS = 600
USED = {"cheap": 110, "dear": 440}
"""By tenant: the first is about what a job of this size is expected to use."""


def as_used(request: GenerationRequest) -> Scripted:
    return Scripted(
        delay_seconds=0.01,
        outcome=Succeeded(
            request_id="",
            text="",
            finish_reason=FinishReason.STOP,
            prompt_tokens=10,
            completion_tokens=USED[str(request.prompt)] - 10,
            tier=Tier.NONE,
            timings=Timings(),
        ),
    )


async def results(yard: Yard, count: int) -> list[JobResult]:
    return sorted(
        [
            await yard.result(f"{tenant}-{number}", tenant=tenant)
            for tenant in USED
            for number in range(count)
        ],
        key=lambda result: result.finished_at,
    )


async def test_a_tenant_whose_jobs_use_four_times_what_they_look_like_gets_no_more_tokens__b9(
    yard: Yard, tmp_path: Path
) -> None:
    """By estimates both would get as many jobs. The gap is bounded while both wait, and a replay agrees."""
    count, log = 40, tmp_path / "plans.jsonl"
    for tenant in USED:
        for number in range(count):
            await yard.publish(Job(id=f"{tenant}-{number}", prompt=tenant), tenant=tenant)
    dispatcher = await yard.dispatcher(quantum_tokens=QUANTUM_TOKENS, record_plans=log)
    await yard.worker(engine=EchoEngine(rows=1, script=as_used), rows=1, lookahead=0)

    tokens, widest = dict.fromkeys(USED, 0), 0
    ended = dict.fromkeys(USED, 0)
    for result in await results(yard, count):
        assert result.usage is not None
        tokens[result.tenant] += result.usage.prompt_tokens + result.usage.completion_tokens
        ended[result.tenant] += 1
        if max(ended.values()) < count:
            widest = max(widest, abs(tokens["dear"] - tokens["cheap"]))
    await dispatcher.stop()

    assert widest <= QUANTUM_TOKENS + max(USED.values())
    entries = read_plan_log(log)
    assert any(entry[0] == "charge" for entry in entries)
    assert replay(entries).differing == ()
