"""Jobs and dead letters of the scenery."""

from __future__ import annotations

from tests.unit.top.scenery import NOW, TENANTS, name

from lorayard import EndedJob, Lane, Letter, QueuedJob, ScheduledJob
from lorayard_cli.top.listed_job import ListedJob, of_ended, of_queued, of_scheduled
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.result import ResultState
from lorayard_schemas.subjects import JobAddress


def at(lane: Lane, tenant: str, adapter: str | None) -> JobAddress:
    return JobAddress(lane=lane, tenant=tenant, adapter=adapter)


def jobs() -> tuple[ListedJob, ...]:
    queued = [
        QueuedJob(
            job_id=f"01a205ebe68b29bed6687bd7218{number:05x}",
            address=at(Lane.BULK, "initech", name(2)),
            since=NOW - 5400 + 60 * number,
            attempt=1 + number // 2,
            worker="w2" if number == 0 else None,
        )
        for number in range(4)
    ]
    scheduled = [
        ScheduledJob(
            job_id="report-2026-0001", at=NOW + 3600, address=at(Lane.NORMAL, "acme", None), attempt=1
        ),
        ScheduledJob(
            job_id="report-2026-0002-r1", at=NOW + 4, address=at(Lane.NORMAL, "acme", name(0)), attempt=3
        ),
    ]
    ended = [
        EndedJob(
            job_id="7bd72182fc1601a205ebe68b29bed668",
            tenant="globex",
            state=ResultState.SUCCEEDED,
            at=NOW - 1,
            adapter=f"{name(1)}@1",
            worker="w1",
            total_ms=412.0,
            code=None,
        ),
        EndedJob(
            job_id="29bed6687bd72182fc1601a205ebe68b",
            tenant="globex",
            state=ResultState.FAILED,
            at=NOW - 62,
            adapter=None,
            worker=None,
            total_ms=0.0,
            code="unknown_adapter",
        ),
    ]
    return (*of_queued(queued), *of_scheduled(scheduled), *of_ended(ended))


def letters() -> tuple[Letter, ...]:
    def letter(number: int, code: str, reason: str, tries: int) -> Letter:
        return Letter(
            number=number,
            told=DeadLetter(
                subject="yard.jobs.normal.acme.x",
                sequence=number,
                job=f"job-{number}",
                tenant=TENANTS[number % 3],
                adapter=name(number),
                code=code,
                reason=reason,
                attempts=tuple(
                    AttemptRecord(
                        attempt=each + 1, worker="w1", code=code, message=reason, at=NOW - 600 + each
                    )
                    for each in range(tries)
                ),
                body=b"",
                at=NOW - 300 * number,
            ),
        )

    return (
        letter(
            17, "engine_error", "the engine failed: CUDA error: an illegal memory access was encountered", 3
        ),
        letter(18, "poison", "3 workers died while they ran it", 3),
        letter(19, "malformed", "it is no job: prompt: Field required", 0),
    )
