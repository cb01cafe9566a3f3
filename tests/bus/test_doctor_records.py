"""`lorayard doctor` names records that nobody goes by, and mends only what no version can have written."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgpack
import nats.js.errors
import pytest

from lorayard import Client, Retry
from lorayard_cli.checks.finding import Level
from lorayard_cli.checks.records import SHOWN, check_records
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.limit import Limits, Measure, limits_key
from lorayard_schemas.schedule import Schedule, plan_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

LIMIT = Limits(tenant="acme", per_day={Measure.REQUESTS: 5})
KEY = limits_key("acme", None)


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def put(bus: Bus, kind: str, key: str, body: bytes) -> None:
    await (await bus.js.key_value(bus.subjects.bucket(kind))).put(key, body)


async def told(bus: Bus, *, mending: bool = False) -> list[str]:
    """What is said of bad records."""
    found = [one async for one in check_records(bus, mending=mending)]
    return [f"{one.message} | {one.mend}" for one in found if one.level is not Level.OK]


async def value(bus: Bus, kind: str, key: str) -> bytes | None:
    bucket = await bus.js.key_value(bus.subjects.bucket(kind))
    try:
        return (await bucket.get(key)).value
    except nats.js.errors.KeyNotFoundError:  # or taken away, which is the same here
        return None


async def test_sound_records_of_all_kinds_are_not_complained_about__f1(bus: Bus, client: Client) -> None:
    await client.limits.set(tenant="acme", requests_per_day=1, reason="r")
    await client.tenants.set_retry("acme", Retry(max_attempts=2))
    await client.schedules.add("digest", "x", cron="0 * * * *")
    await client.strikes.add(tenant="acme", reason="late")
    await client.control.pause("lane", "bulk", reason="backup")
    await client.control.cap("tenant", "acme", 4, reason="fair use")
    assert await told(bus) == []


async def test_what_a_newer_version_may_have_written_is_named_and_left_alone__f1(bus: Bus) -> None:
    newer = {**LIMIT.model_dump(mode="json"), "v": 2}
    other_word = {**LIMIT.model_dump(mode="json"), "per_day": {"thoughts": 1}}
    wrong = {
        ("tenants", KEY): msgpack.packb(newer),
        ("tenants", limits_key("b", None)): msgpack.packb(other_word),
        ("tenants", limits_key("c", None)): encode(LIMIT),
        ("control", "embargo.acme"): msgpack.packb({"v": 1}),
    }
    for (kind, key), body in wrong.items():
        await put(bus, kind, key, body)
    for mending in (False, True):
        found = await told(bus, mending=mending)
        assert len(found) == len(wrong)
        assert all("newer lorayard" in one for one in found)
    assert {place: await value(bus, *place) for place in wrong} == wrong


async def test_what_no_version_can_have_written_is_replaced_by_what_was_there__f1(bus: Bus) -> None:
    await put(bus, "tenants", KEY, encode(LIMIT))
    for junk in (b"\xc1junk", b"{", b"[1]"):
        await put(bus, "tenants", KEY, junk)
    await put(bus, "control", "strike.junk", b"7")
    found = await told(bus)
    assert len(found) == 2
    assert all("--mend" in one for one in found)
    assert await told(bus, mending=True) == []
    assert await value(bus, "tenants", KEY) == encode(LIMIT)
    assert await value(bus, "control", "strike.junk") is None
    assert await told(bus) == []


async def test_what_a_newer_version_wrote_before_junk_came_is_put_back__f1(bus: Bus) -> None:
    newer = msgpack.packb({**LIMIT.model_dump(mode="json"), "v": 2})
    for body in (encode(LIMIT), newer, b"junk"):
        await put(bus, "tenants", KEY, body)
    await told(bus, mending=True)
    assert await value(bus, "tenants", KEY) == newer


async def test_a_schedule_that_is_never_due_is_named_with_what_takes_it_away__f1(bus: Bus) -> None:
    job = Job(id="digest", prompt="x")
    plan = Schedule(name="digest", tenant="acme", cron="junk", job=job, since=time.time())
    await put(bus, "schedules", plan_key("acme", "digest"), encode(plan))
    (found,) = await told(bus, mending=True)
    assert "it is never due" in found
    assert "lorayard schedules rm digest" in found


async def test_of_many_bad_records_some_are_named_and_the_others_counted__f1(bus: Bus) -> None:
    for number in range(SHOWN + 5):
        await put(bus, "tenants", f"limit.{number}", b"junk")
    assert (await told(bus))[-1].startswith(f"{bus.subjects.bucket('tenants')}: 5 more")
