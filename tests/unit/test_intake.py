"""Reading a delivery (G3): a job that can be served, or the exact reason why not; never nothing."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_schemas import headers
from lorayard_schemas.codec import encode
from lorayard_schemas.job import MAX_JOB_BYTES, Job, Lane
from lorayard_schemas.subjects import JobAddress, Subjects
from lorayard_shared.jobs.intake import Unreadable, dead_tenant, read_delivery
from lorayard_shared.jobs.taken_job import TakenJob

REPLY = "$JS.ACK.YARD_JOBS.dispatch-normal.2.7.9.1700000000000000000.0"
SUBJECT = "yard.jobs.normal.acme.a/b/c"
GOOD = encode(Job(id="job-1", prompt="x", deadline=5.0))


def read(
    *, subject: str = SUBJECT, body: bytes = GOOD, reply: str = REPLY, **message_headers: str
) -> TakenJob | Unreadable:
    """Header names come with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in message_headers.items()}
    return read_delivery(Subjects(), subject=subject, reply=reply, body=body, message_headers=named)


def unreadable(found: TakenJob | Unreadable) -> Unreadable:
    assert isinstance(found, Unreadable)
    return found


def test_a_good_delivery_is_a_job_with_all_it_needs() -> None:
    assert read(Yard_Attempt="3", Yard_History="[]") == TakenJob(
        key="YARD_JOBS-7",
        lease=REPLY,
        subject=SUBJECT,
        address=JobAddress(lane=Lane.NORMAL, tenant="acme", adapter="a/b/c"),
        job="job-1",
        body=GOOD,
        attempt=3,
        history="[]",
        deliveries=2,
        enqueued_at=1_700_000_000.0,
        deadline=5.0,
        prompt_bytes=1,
        max_new_tokens=256,
    )


def test_a_job_that_is_due_is_a_job() -> None:
    found = read(subject="yard.due.bulk.acme._")
    assert isinstance(found, TakenJob)
    assert found.address == JobAddress(lane=Lane.BULK, tenant="acme", adapter=None)


def test_a_first_attempt_says_nothing() -> None:
    found = read()
    assert isinstance(found, TakenJob)
    assert (found.attempt, found.history) == (1, None)


def test_a_bad_field_with_a_readable_id_can_be_answered() -> None:
    found = unreadable(read(body=msgpack.packb({"id": "job-1", "prompt": 5})))
    assert (found.job, found.field) == ("job-1", "prompt")
    assert found.address is not None
    assert found.address.tenant == "acme"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"\xc1", ""),
        (b"{", ""),
        (msgpack.packb({"prompt": "x"}), "id"),
        (msgpack.packb({"id": "a b", "prompt": "x"}), "id"),
        (msgpack.packb(["id"]), ""),
    ],
    ids=["empty", "no msgpack", "half a JSON", "no id", "bad id", "no map"],
)
def test_a_body_without_readable_id_cannot(body: bytes, field: str) -> None:
    found = unreadable(read(body=body))
    assert (found.job, found.field) == (None, field)
    assert found.reason
    assert found.body == body


@pytest.mark.parametrize(
    "subject", ["yard.jobs.express.acme.a", "yard.jobs.normal.acme", "yard.jobs.normal.%ff.a", "x"]
)
def test_a_bad_subject_is_named(subject: str) -> None:
    found = unreadable(read(subject=subject))
    assert (found.job, found.field, found.address) == ("job-1", "subject", None)
    assert subject in found.reason


@pytest.mark.parametrize("attempt", ["0", "-1", "two", "", "1.5", "9" * 5000, " 1"])
def test_a_bad_attempt_is_named(attempt: str) -> None:
    """Even one with more digits than Python reads: as an unknown error the job would never be answered."""
    found = unreadable(read(Yard_Attempt=attempt))
    assert headers.ATTEMPT in found.field
    assert found.job == "job-1"


def test_a_message_too_big_to_hand_over_is_refused_with_the_way_out() -> None:
    """It fits the server, not an assignment around it."""
    body = encode(Job(id="job-1", prompt="x" * MAX_JOB_BYTES))
    found = unreadable(read(body=body))
    assert found.job == "job-1"
    assert "by reference" in found.reason


def test_a_history_too_big_to_hand_over_is_refused() -> None:
    assert unreadable(read(Yard_History="x" * MAX_JOB_BYTES)).job == "job-1"


def test_what_cannot_be_acked_is_no_delivery() -> None:
    with pytest.raises(ValueError, match="not an ack subject"):
        read(reply="_INBOX.x")


@given(
    subject=st.text(),
    body=st.binary(),
    attempt=st.text(),
    history=st.text(),
    known=st.sampled_from([SUBJECT, None]),
)
def test_no_delivery_is_ever_worse_than_unreadable(
    subject: str, body: bytes, attempt: str, history: str, known: str | None
) -> None:
    found = read(subject=known or subject, body=body, Yard_Attempt=attempt, Yard_History=history)
    assert isinstance(found, TakenJob | Unreadable)
    assert found.lease == REPLY


@pytest.mark.parametrize(
    ("subject", "tenant"), [(SUBJECT, "acme"), ("yard", "_"), ("", "_"), ("yard..x", "_"), ("a.b", "a")]
)
def test_a_dead_letter_goes_under_the_tenant_as_far_as_one_is_there(subject: str, tenant: str) -> None:
    assert dead_tenant(subject) == tenant
