"""What a worker holds, and how much more it takes."""

from __future__ import annotations

import pytest

from lorayard_schemas.alias import AliasRef
from lorayard_schemas.assignment import AssignedJob
from lorayard_schemas.composition import AppliedComposition, AppliedPart
from lorayard_schemas.give_back import AliasLead, GiveBack
from lorayard_schemas.job import Lane
from lorayard_schemas.state import IllegalTransitionError, JobState
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


def of_several(key: str, revision: int, *versions: str) -> HeldJob:
    """A job of the alias's versions, each a part."""
    alias = AliasRef(name="a/b/c@stable", revision=revision)
    parts = tuple(
        AppliedPart(name="a/b/c", version=one, digest="sha256:" + one * 8, weight=1.0, alias=alias)
        for one in versions
    )
    fixed = AppliedPart(name="a/b/d", version="9", digest="sha256:" + "9" * 8, weight=1.0)
    applied = AppliedComposition(parts=(fixed, *parts), digest="sha256:" + "".join(versions) * 8)
    job = held(key)
    job.assigned = job.assigned.model_copy(update={"composition": applied})
    return job


def test_jobs_are_asked_back_by_the_aliases_of_their_parts__c7__d4() -> None:
    jobs = HeldJobs(capacity=9)
    for job in (of_several("old", 1, "1"), of_several("stays", 1, "2"), of_several("new", 2, "1"), held("x")):
        jobs.put(job)
    lead = AliasLead(name="a/b/c@stable", revision=2, versions=("2",))
    assert [job.key for job in jobs.meant_by(GiveBack(aliases=(lead,)))] == ["old"]
    other = lead.model_copy(update={"name": "a/b/d@stable"})
    assert jobs.meant_by(GiveBack(aliases=(other,))) == []


def test_a_job_given_again_is_bound_elsewhere_only_with_other_parts__c7__d4() -> None:
    job = of_several("k", 1, "1")
    assert not job.give_again(of_several("k", 2, "1").assigned)
    assert job.give_again(of_several("k", 2, "2").assigned)
    made = job.assigned.composition
    assert made is not None
    assert [part.version for part in made.parts] == ["9", "1"], "it runs with what it had"


def test_a_job_given_again_tells_how_sure_was_what_decided_on_what_runs__b1() -> None:
    meant, named = {"rule": "semantic", "confidence": 0.91}, {"rule": "default", "confidence": None}
    for runs, again in ((meant, named), (named, meant)):
        job, other = held("k"), held("k").assigned.model_copy(update={**again, "lease": "m"})
        job.assigned = job.assigned.model_copy(update=runs)
        job.give_again(other)
        told = {"rule": job.assigned.rule, "confidence": job.assigned.confidence}
        assert (told, job.assigned.lease) == (runs, "m")


def test_a_job_that_has_ended_moves_no_more__e3() -> None:
    for end in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED):
        job = held("k")
        job.move(JobState.RUNNING)
        job.move(end)
        for after in JobState:
            with pytest.raises(IllegalTransitionError):
                job.move(after)
            assert job.state is end
