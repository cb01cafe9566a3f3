"""Subjects of a yard: what is written is read back, and everything else is refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_schemas.job import Lane
from lorayard_schemas.names import CHOOSE
from lorayard_schemas.subjects import BadSubjectError, JobAddress, Subjects

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
addresses = st.builds(
    JobAddress,
    lane=st.sampled_from(Lane),
    tenant=names,
    adapter=st.none() | names.filter(lambda name: name != CHOOSE),
)
prefixes = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)


@given(addresses, prefixes)
def test_an_address_comes_back_from_its_subject(address: JobAddress, prefix: str) -> None:
    subjects = Subjects(prefix)
    assert subjects.parse_job(subjects.job(address)) == address
    assert subjects.parse_job(subjects.due_job(address)) == address


@given(addresses)
def test_a_jobs_subject_has_five_tokens(address: JobAddress) -> None:
    tokens = Subjects().job(address).split(".")
    assert tokens[:3] == ["yard", "jobs", address.lane.value]
    assert len(tokens) == 5
    assert all(tokens)


def test_a_prefix_that_says_jobs_confuses_nobody() -> None:
    address = JobAddress(lane=Lane.HIGH, tenant="jobs", adapter="a/b/c")
    subjects = Subjects("jobs-jobs")
    assert subjects.due_job(address) == "jobs-jobs.due.high.jobs.a/b/c"
    assert subjects.parse_job(subjects.due_job(address)) == address


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "yard",
        "yard.jobs",
        "yard.jobs.normal.t",
        "yard.jobs.normal.t.a.b",
        "yard.jobs.express.t.a",
        "yard.jobs.normal..a",
        "yard.jobs.normal.t.",
        "yard.jobs.normal.%ff.a",
        "yard.jobs.normal.t.%ff",
        "other.jobs.normal.t.a",
        "yardling.jobs.normal.t.a",
        "yard.delayed.t.j",
    ],
)
def test_other_subjects_are_refused_and_named(subject: str) -> None:
    with pytest.raises(BadSubjectError) as caught:
        Subjects().parse_job(subject)
    assert str(caught.value).startswith(subject)


def test_every_name_stands_below_the_prefix() -> None:
    """Two yards on one server share nothing."""
    one, other = (_all(Subjects(prefix)) for prefix in ("yard", "yard-2"))
    assert not one & other
    assert {name.split(".")[0] for name in one if "." in name} == {"yard"}


def _all(s: Subjects) -> set[str]:
    address = JobAddress(lane=Lane.BULK, tenant="t", adapter=None)
    return {
        *(s.jobs, s.delayed, s.due, s.results, s.tokens, s.dead, s.audit),
        *(s.job(address), s.due_job(address), s.delayed_job("t", "j"), s.result("t", "j"), s.done("t")),
        *(s.dead_letter("t", None, "j"), s.dead_letter("t", "a/b/c", "j"), s.unreadable_letter("t")),
        *(s.assign("w"), s.control("w", "cancel")),
        *(s.dispatcher("status"), s.load("d"), s.stream("jobs"), s.bucket("workers")),
    }


def test_stream_and_bucket_names_are_legal() -> None:
    subjects = Subjects("my-yard")
    assert subjects.stream("jobs") == "MY_YARD_JOBS"
    assert subjects.bucket("workers") == "my-yard_workers"
