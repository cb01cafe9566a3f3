"""A delivery is a job, or can be answered or buried with the reason; it is never lost (G3)."""

from __future__ import annotations

import random
from collections.abc import Callable

import structlog
from tests.unit.fuzz.conftest import Spoiler

from lorayard_schemas import headers
from lorayard_schemas.attempt import read_history
from lorayard_schemas.codec import encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job
from lorayard_schemas.subjects import BadSubjectError, Subjects
from lorayard_shared.bus.delivery import read_ack_subject
from lorayard_shared.bus.heard import Heard, read_headers
from lorayard_shared.jobs.bound import read_bound
from lorayard_shared.jobs.intake import Unreadable, dead_tenant, read_delivery, read_message
from lorayard_shared.jobs.taken_job import TakenJob

Tally = Callable[[str, int], None]

DELIVERIES = 12_000
RAW_MESSAGES = 4_000
WORDS = 12_000

SUBJECTS = Subjects()
LEASE = "$JS.ACK.YARD_JOBS.dispatch-normal.2.7.9.1700000000000000000.0"
GOOD_SUBJECTS = ("yard.jobs.normal.acme.a/b/c", "yard.due.bulk.acme._", "yard.jobs.urgent.%54eam%201._.3")
NAMES = (headers.ATTEMPT, headers.HISTORY, headers.BOUND, headers.SNOOZED, headers.MSG_ID, "Status")
VALUES = (
    *("1", "2", "0", "-1", "999999", "9" * 5000, "²", "٣", "1e3", "", "[]", "[1]", "{", "null", "a@b=1"),
    *("=" * 500, " " * 500, '[{"attempt": 1, "worker": "w", "code": "c", "message": "m", "at": 1e999}]'),
    *("3 1763858000.5", "3 nan", "x" * 800_000, "\ud800", "a b c", "1 2 3", "inf inf"),
)
SHORT = (*(value for value in VALUES if len(value) < 10_000), LEASE, *GOOD_SUBJECTS)
PARTS = ("", "*", "%ff", "%", "base", "x" * 3000, "ü", "%00", "due")


def subject(rng: random.Random) -> str:
    good = rng.choice(GOOD_SUBJECTS)
    if rng.random() < 0.6:
        return good
    parts = good.split(".")
    parts[rng.randrange(len(parts))] = rng.choice(
        ("", "*", "%ff", "%", "base", "x" * 3000, "ü", "%00", "due")
    )
    return ".".join(parts[: rng.randint(1, len(parts))] if rng.random() < 0.3 else parts)


def check(found: TakenJob | Unreadable, told: str, body: bytes) -> None:
    """Whoever takes it can answer it under its tenant and id, or bury it as it came."""
    assert found.lease == LEASE
    if isinstance(found, TakenJob):
        assert SUBJECTS.result(found.address.tenant, found.job).isprintable()
        assert 1 <= found.attempt < 10**6
        read_history(found.history)
        read_bound(found.bound or "")
        return
    assert found.reason
    if found.job is not None and found.address is not None:
        assert SUBJECTS.result(found.address.tenant, found.job).isprintable()
        return
    assert found.body == body
    encode(
        DeadLetter(
            subject=told,
            sequence=found.delivery.sequence,
            code="malformed_job",
            reason=found.reason,
            field=found.field or None,
            body=found.body,
            at=0.0,
        )
    )
    assert dead_tenant(told)


def test_every_delivery_is_a_job_or_can_be_answered_or_buried__g3(tally: Tally) -> None:
    spoiler = Spoiler(3)
    jobs = 0
    for _ in range(DELIVERIES):
        told, body = subject(spoiler.rng), spoiler.body(spoiler.plausible(Job))
        named = {
            spoiler.rng.choice(NAMES): spoiler.rng.choice(VALUES)
            for _ in range(spoiler.rng.choice((0, 0, 1, 3)))
        }
        found = read_delivery(SUBJECTS, subject=told, reply=LEASE, body=body, message_headers=named)
        check(found, told, body)
        jobs += isinstance(found, TakenJob)
    tally("fuzz: deliveries that are a job, or answered or buried", DELIVERIES)
    assert 0 < jobs < DELIVERIES


def test_a_message_as_it_comes_off_the_wire_is_never_worse_than_unreadable__g3(tally: Tally) -> None:
    """Headers as raw bytes, which anybody may have written."""
    spoiler, log = Spoiler(4), structlog.get_logger()
    for _ in range(RAW_MESSAGES):
        told, body = subject(spoiler.rng), spoiler.body(spoiler.plausible(Job))
        lines = "".join(
            f"{spoiler.rng.choice(NAMES)}: {spoiler.rng.choice(VALUES)}\r\n"
            for _ in range(spoiler.rng.randrange(3))
        )
        raw = spoiler.damaged(f"NATS/1.0\r\n{lines}\r\n".encode("utf-8", "surrogatepass"))
        found = read_message(SUBJECTS, Heard(told.encode(), LEASE.encode(), raw, body), log)
        assert found is not None
        check(found, told, body)
    tally("fuzz: messages off the wire", RAW_MESSAGES)


def test_words_that_travel_beside_a_body_are_read_or_refused__g3(tally: Tally) -> None:
    """Headers, subjects and leases: what is none of theirs is nothing, or raises what their readers catch."""
    spoiler = Spoiler(5)
    for _ in range(WORDS):
        whole: str = spoiler.rng.choice(SHORT)
        text = spoiler.damaged(whole.encode("utf-8", "replace"))
        word = text.decode("utf-8", "replace")
        read_headers(text)
        read_history(word)
        read_bound(word)
        for read, error in ((read_ack_subject, ValueError), (SUBJECTS.parse_job, BadSubjectError)):
            try:
                read(word)
            except error:
                continue
    tally("fuzz: headers, subjects and leases", WORDS)
