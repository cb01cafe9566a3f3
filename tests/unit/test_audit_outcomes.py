"""How jobs have ended is told in few records, and nothing of it is lost (F4)."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from lorayard_schemas.audit import OutcomesRecord
from lorayard_shared.audit.outcomes import MOST_JOBS, Outcomes
from lorayard_shared.owned_tasks import OwnedTasks

Put = list[tuple[str, dict[str, Any]]]


def ended_jobs(put: Put) -> list[str]:
    return [job.job for _, body in put for job in OutcomesRecord.model_validate(body).jobs]


async def test_what_ends_together_shares_records_of_a_bounded_size__f4() -> None:
    tasks, put = OwnedTasks(structlog.get_logger()), Put()
    outcomes = Outcomes(lambda subject, body: put.append((subject, body)), "s", by="w1", spawn=tasks.spawn)
    names = [f"j{number}" for number in range(MOST_JOBS + 1)]
    for name in names:
        outcomes.note(job=name, tenant="t", state="succeeded", attempt=1)
    assert put == [], "nobody waits for it"
    await tasks.settle()
    assert [len(body["jobs"]) for _, body in put] == [MOST_JOBS, 1]
    assert ended_jobs(put) == names
    outcomes.ended("t", "later", "failed", 2, "c")
    await tasks.settle()
    assert ended_jobs(put) == [*names, "later"]
    assert put[-1][1]["jobs"] == [
        {"job": "later", "tenant": "t", "state": "failed", "attempt": 2, "code": "c"}
    ]


async def test_what_ended_as_a_process_stops_is_told__f4() -> None:
    tasks, put = OwnedTasks(structlog.get_logger()), Put()
    outcomes = Outcomes(lambda subject, body: put.append((subject, body)), "s", by="w1", spawn=tasks.spawn)
    outcomes.note(job="j", tenant="t", state="succeeded", attempt=1)
    await asyncio.sleep(0)
    await tasks.end()
    assert ended_jobs(put) == ["j"]
