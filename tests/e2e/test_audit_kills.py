"""kill -9 of any process does not look like tampering with the audit trail; tampering does (F4)."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER

from lorayard import Client, GenerateRequest
from lorayard_cli.auditing.stream import verify_stream
from lorayard_cli.auditing.telling import Earlier
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_shared.audit.verifying import FaultKind
from lorayard_shared.bus.connection import connect
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

KILLS = ("dispatcher", "w1", "bus", "dispatcher", "bus")
JOBS_A_KILL = 300
NOTHING = Earlier(heads={})


@pytest.fixture
def plan(tmp_path: Path) -> YardPlan:
    make_tiny_adapter(tmp_path / "adapters" / ADAPTER / "1", seed=1)
    return YardPlan(
        data=tmp_path / "data",
        engine="echo",
        adapters=tmp_path / "adapters",
        port=0,
        environment={"LORAYARD_ACK_WAIT_SECONDS": "3", "LORAYARD_ECHO_DELAY_SECONDS": "0.02"},
    )


async def test_no_kill_looks_like_tampering_and_a_record_taken_away_does__f4(plan: YardPlan) -> None:
    requests = [
        GenerateRequest(f"secret {one}", adapter=(ADAPTER, None)[one % 2]) for one in range(JOBS_A_KILL)
    ]
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        for name in KILLS:
            report = await client.submit_many(requests)
            first, *others = report.all_handles()
            await first.outcome()  # the yard is at work
            while (pid := yard.pids[name]) is None:  # noqa: ASYNC110  # the supervisor tells only when asked
                await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            await asyncio.gather(*(handle.outcome() for handle in others))
        async with await connect(yard.settings, name="auditor") as bus:
            found = await verify_stream(bus, NOTHING, after=0)
            assert found.sound, found.faults
            assert found.writers >= len(KILLS), "each life of a process has a chain of its own"
            taken = found.records // 2
            await bus.api(f"STREAM.MSG.DELETE.{bus.subjects.stream('audit')}", {"seq": taken})
            again = await verify_stream(bus, NOTHING, after=0)
            assert (FaultKind.DELETED, taken) in {(fault.kind, fault.sequence) for fault in again.faults}
