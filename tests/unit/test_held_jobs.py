"""What a worker holds, and how much more it takes."""

from __future__ import annotations

from lorayard_schemas.assignment import AssignedJob
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_workers.service.held_jobs import HeldJob, HeldJobs


def held(key: str, job: str = "j", tenant: str = "t") -> HeldJob:
    assigned = AssignedJob(key=key, lease=f"lease-{key}", subject="s", body=b"")
    return HeldJob(
        assigned=assigned, address=JobAddress(lane=Lane.NORMAL, tenant=tenant, adapter=None), job=job
    )


def test_room_is_what_is_left_of_the_capacity() -> None:
    jobs = HeldJobs(capacity=2)
    jobs.put(held("1"))
    assert jobs.room == 1
    jobs.put(held("2"))
    jobs.put(held("3"))
    assert jobs.room == 0, "never below nothing"
    jobs.drop("1")
    jobs.drop("2")
    assert (jobs.room, len(jobs), jobs.keys) == (1, 1, ("3",))


def test_dropping_twice_gives_the_job_once() -> None:
    jobs = HeldJobs(capacity=2)
    job = held("1")
    jobs.put(job)
    assert jobs.get("1") is job
    assert jobs.drop("1") is job
    assert jobs.drop("1") is None
    assert jobs.get("1") is None


def test_a_job_published_twice_is_found_twice_and_no_other_tenants() -> None:
    jobs = HeldJobs(capacity=9)
    for job in (held("1"), held("2"), held("3", tenant="another"), held("4", job="k")):
        jobs.put(job)
    assert [job.key for job in jobs.find("t", "j")] == ["1", "2"]
