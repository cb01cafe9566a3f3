"""What decides whose a question is, on values."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from lorayard_dispatcher.delayed_check import never_served
from lorayard_dispatcher.own_reading import NotOwnError, own_patterns, read_question, within
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.own import READ
from lorayard_schemas.subjects import Subjects
from lorayard_shared.jobs.intake import Unreadable, read_delivery

ACK = "$JS.ACK.YARD_DELAYED.dispatch-due.1.7.1.1700000000000000000.0"
TOKENS = st.sampled_from(["yard", "results", "jobs", "acme", "beta", "*", ">", "", "j1", "normal", "delayed"])
SUBJECTS = st.lists(TOKENS, min_size=1, max_size=6).map(".".join)


@given(stream=st.sampled_from(READ), subject=SUBJECTS, key=st.sampled_from(["next_by_subj", "last_by_subj"]))
def test_what_is_let_through_names_the_tenant_and_no_wildcard_in_its_place_g4(
    stream: str, subject: str, key: str
) -> None:
    patterns = own_patterns("yard", stream, "acme")
    try:
        read_question(json.dumps({key: subject, "seq": 1}).encode(), patterns)
    except NotOwnError:
        return
    assert "acme" in subject.split(".")
    assert ">" not in subject
    assert any(within(subject, pattern) for pattern in patterns)


def test_each_stream_that_a_tenant_reads_has_patterns_and_others_have_none() -> None:
    assert all(own_patterns("yard", stream, "acme") for stream in READ)
    assert own_patterns("yard", "usage", "acme") == ()


def test_pages_are_bounded_whatever_is_asked_for() -> None:
    body = json.dumps({"next_by_subj": "yard.tokens.acme.j", "batch": 10**9, "max_bytes": 10**12}).encode()
    question = read_question(body, own_patterns("yard", "tokens", "acme"))
    assert question["batch"] <= 1000
    assert question["max_bytes"] <= 2**23


def test_a_due_job_of_another_tenants_schedule_is_answered_to_nobody_g4(
    tally: Callable[[str, int], None],
) -> None:
    def read(scheduler: str) -> object:
        return read_delivery(
            Subjects(),
            subject="yard.due.normal.beta.base",
            reply=ACK,
            body=encode(Job(id="j", prompt="x")),
            message_headers={"Nats-Scheduler": scheduler},
        )

    stolen = read("yard.delayed.acme.j")
    assert isinstance(stolen, Unreadable)
    assert (stolen.job, stolen.address, stolen.subject) == (None, None, "yard.delayed.acme.j")
    assert not isinstance(read("yard.delayed.beta.j"), Unreadable)
    tally("schedules judged", 2)


def test_a_schedule_with_another_tenants_target_is_never_served_g4() -> None:
    def judge(target: str) -> Unreadable | None:
        head = {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": target}
        return never_served(subject="yard.delayed.acme.j", reply=ACK, body=b"{}", message_headers=head)

    assert judge("yard.due.normal.acme.base") is None
    found = judge("yard.due.normal.beta.base")
    assert found is not None
    assert "another tenant" in found.reason
