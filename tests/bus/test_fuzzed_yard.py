"""A running yard takes whatever is published: each message ends as a result or a dead letter (E3, G3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Yard
from tests.unit.fuzz.conftest import Spoiler

from lorayard_schemas import headers
from lorayard_schemas.assignment import CancelJob
from lorayard_schemas.cancel_many import CANCEL_MANY, CancelMany
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.explanation import ExplainJob
from lorayard_schemas.job import MAX_JOB_BYTES, Job
from lorayard_schemas.json_schemas import MESSAGES
from lorayard_schemas.message import Message
from lorayard_schemas.placement import PlaceAdapter
from lorayard_schemas.result import JobResult
from lorayard_shared.jobs.intake import Unreadable, read_delivery

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Tally = Callable[[str, int], None]

JOBS = 1_400
RECORDS = 400
ORDERS = 120

BUCKETS = (
    "workers",
    "dispatchers",
    "adapters",
    "placements",
    "aliases",
    "rules",
    "models",
    "tenants",
    "control",
    "sessions",
)
ADDRESSES = ("normal.acme.a/b/c", "bulk.acme._", "urgent.%54eam%201.base", "high.acme.%2ba", "normal.%ff._")
NOTES = (
    {headers.ATTEMPT: "3"},
    {headers.ATTEMPT: "three"},
    {headers.HISTORY: '[{"attempt": 1}]'},
    {headers.BOUND: "= =", "Yard-Unknown": "x"},
)


def spoiled_job(spoiler: Spoiler, number: int) -> bytes:
    """Nearly a job; no two have one id, as long as it is left alone."""
    told = {**spoiler.plausible(Job), "id": f"fuzz-{number}"}
    told.pop("retry", None)  # of its own will a job may wait for hours
    return spoiler.body(told)[:MAX_JOB_BYTES]


def unread(spoiler: Spoiler, kind: type[Message]) -> bytes:
    """What is surely no such message: a sound strike or limit would do what it says."""
    while True:
        body = spoiler.body(spoiler.plausible(kind))[:MAX_JOB_BYTES]
        try:
            decode(kind, body)
        except MalformedMessageError:
            return body


async def publish_records(yard: Yard, spoiler: Spoiler) -> None:
    """Into every bucket and on every subject that the parts of a yard listen on."""
    for number in range(RECORDS):
        kind = MESSAGES[number % len(MESSAGES)]
        body = unread(spoiler, kind)
        bucket = yard.bus.subjects.bucket(BUCKETS[number % len(BUCKETS)])
        await yard.bus.nc.publish(f"$KV.{bucket}.fuzz{number % 30}.x", body)
        for subject in (yard.bus.subjects.load("d1"), yard.bus.subjects.assign("w1")):
            await yard.bus.nc.publish(subject, body)
        await yard.bus.nc.publish(yard.bus.subjects.done("acme", f"fuzz{number}"), unread(spoiler, JobResult))


async def test_every_spoiled_message_ends_as_a_result_or_a_dead_letter__g3(
    yard: Yard, wait_until: WaitUntil, tally: Tally
) -> None:
    spoiler = Spoiler(13)
    processes = [await yard.dispatcher(), await yard.worker()]
    await publish_records(yard, spoiler)
    answered: set[tuple[str, str]] = set()
    buried: set[int] = set()
    for number in range(JOBS):
        subject = f"{yard.settings.prefix}.jobs.{spoiler.rng.choice(ADDRESSES)}"
        body = spoiled_job(spoiler, number)
        noted = spoiler.rng.choice(NOTES) if spoiler.rng.random() < 0.2 else None
        sequence = (await yard.bus.js.publish(subject, body, headers=noted)).seq
        lease = f"$JS.ACK.S.c.1.{sequence}.1.1.0"
        found = read_delivery(
            yard.bus.subjects, subject=subject, reply=lease, body=body, message_headers=noted or {}
        )
        if found.job is not None and found.address is not None:
            answered.add((found.address.tenant, found.job))
        else:
            assert isinstance(found, Unreadable)
            buried.add(sequence)

    async def nothing_left() -> bool:
        for process in processes:
            process.check()
        return await yard.left() == 0 and await yard.left("results") == len(answered)

    await wait_until(nothing_left, seconds=50.0)
    letters = await yard.dead_letters()
    assert buried <= {letter.sequence for letter in letters}
    others = {(letter.tenant, letter.job) for letter in letters if letter.sequence not in buried}
    assert others <= answered, "what was given up has its result, too"
    assert len(answered) > JOBS // 4
    assert len(buried) > JOBS // 10
    tally("fuzz: messages to a running yard", JOBS + RECORDS)


async def test_every_spoiled_order_is_answered__g3(yard: Yard, tally: Tally) -> None:
    spoiler = Spoiler(14)
    dispatcher = await yard.dispatcher()
    orders: tuple[tuple[str, type[Message]], ...] = (
        ("cancel", CancelJob),
        (CANCEL_MANY, CancelMany),
        ("place", PlaceAdapter),
        ("explain", ExplainJob),
    )
    for number in range(ORDERS):
        verb, kind = orders[number % len(orders)]
        body = spoiler.body(spoiler.plausible(kind))
        reply = await yard.bus.nc.request(yard.bus.subjects.dispatcher(verb), body, timeout=10)
        assert reply.data or (reply.headers or {})["Nats-Service-Error"]
    dispatcher.check()
    tally("fuzz: orders to a running dispatcher", ORDERS)
