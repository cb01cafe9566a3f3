"""What one tenant can do to another: all of it in an account that both share, none of it between accounts.

The attacker here holds its account's own key, so that not even the client's permissions bind it: what stands
is the border alone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats.errors
import pytest
from tests.security.conftest import TENANTS, SecureServer, credentials_for_all, is_refused

from lorayard.errors import BusRefusedError, BusUnavailableError
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_shared.bus.connection import ApiError, Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
ME, VICTIM = TENANTS
RESULTS = "$JS.API.DIRECT.GET.YARD_RESULTS"


@pytest.fixture
async def shared(own_server_url: str) -> AsyncIterator[Bus]:
    """One account for all, as a server without configuration has it, with the yard's streams."""
    settings = YardSettings(url=own_server_url)
    async with await connect(settings, name="shared") as bus:
        await declare(bus, topology(settings))
        yield bus


@pytest.fixture
async def attacker(secure_yard: SecureServer, tmp_path: Path) -> AsyncIterator[Bus]:
    """In the account of the tenant `ME`, with all rights there."""
    file = credentials_for_all(secure_yard, ME, tmp_path)
    async with await secure_yard.connect(f"client-{ME}", credentials_file=str(file)) as bus:
        yield bus


@pytest.fixture
async def yard(secure_yard: SecureServer) -> AsyncIterator[Bus]:
    """Whoever sees all of it."""
    async with await secure_yard.connect("operator") as bus:
        yield bus


async def stored(bus: Bus, stream: str, subject: str) -> int:
    info = await bus.api(f"STREAM.INFO.{stream}", {"subjects_filter": subject})
    found: dict[str, int] = info["state"].get("subjects") or {}
    return sum(found.values())


async def forge_job(bus: Bus, target: str) -> None:
    await bus.nc.publish(f"yard.jobs.bulk.{ME}.none", encode(Job(id="forged", prompt="x")), reply=target)
    await bus.nc.flush()


async def forge_result(bus: Bus, target: str) -> None:
    await bus.nc.publish(f"{RESULTS}.yard.results.{ME}.mine", b"", reply=target)
    await bus.nc.flush()


async def put_own_result(bus: Bus) -> None:
    with suppress(nats.errors.Error):
        await bus.js.publish(f"yard.results.{ME}.mine", b"mine")


async def settled(bus: Bus) -> None:
    """What was sent before is done: the server answers in order."""
    await bus.nc.flush()
    await bus.api("INFO")


async def test_a_forged_reply_stores_a_job_as_another_tenants_in_a_shared_account_a6(shared: Bus) -> None:
    await forge_job(shared, f"yard.jobs.bulk.{VICTIM}.evil")
    await settled(shared)
    assert await stored(shared, "YARD_JOBS", f"yard.jobs.bulk.{VICTIM}.evil") == 1


async def test_a_forged_reply_stores_nothing_of_another_tenant_between_accounts_a6(
    attacker: Bus, yard: Bus
) -> None:
    for target in (
        f"yard.jobs.bulk.{VICTIM}.evil",
        f"yard.results.{VICTIM}.evil",
        f"yard.done.{VICTIM}.evil",
    ):
        await forge_job(attacker, target)
    await settled(yard)
    assert await stored(yard, "YARD_JOBS", f"yard.jobs.bulk.{VICTIM}.evil") == 0
    assert await stored(yard, "YARD_RESULTS", f"yard.results.{VICTIM}.evil") == 0


async def test_a_read_stores_its_answer_as_another_tenants_result_in_a_shared_account_a6(shared: Bus) -> None:
    await put_own_result(shared)
    await forge_result(shared, f"yard.results.{VICTIM}.stolen")
    await settled(shared)
    assert await stored(shared, "YARD_RESULTS", f"yard.results.{VICTIM}.stolen") == 1


async def test_a_read_stores_nothing_as_another_tenants_result_between_accounts_a6(
    attacker: Bus, yard: Bus
) -> None:
    await put_own_result(yard)
    assert (await attacker.nc.request(f"{RESULTS}.yard.results.{ME}.mine", b"")).data == b"mine"
    await forge_result(attacker, f"yard.results.{VICTIM}.stolen")
    await settled(yard)
    assert await stored(yard, "YARD_RESULTS", f"yard.results.{VICTIM}.stolen") == 0


async def test_a_foreign_message_id_drops_a_job_in_a_shared_account_a6(shared: Bus) -> None:
    async def submit(tenant: str) -> dict[str, object]:
        job = encode(Job(id="report-1", prompt="x"))
        name = shared.message_id("report-1")
        reply = await shared.nc.request(f"yard.jobs.bulk.{tenant}.none", job, headers={"Nats-Msg-Id": name})
        answer: dict[str, object] = json.loads(reply.data)
        return answer

    assert "duplicate" not in await submit(ME)
    assert (await submit(VICTIM))["duplicate"] is True


async def test_a_job_is_not_dropped_for_an_id_that_another_tenant_can_make_a6(
    secure_yard: SecureServer, attacker: Bus
) -> None:
    body = encode(Job(id="known-1", prompt="x"))
    async with await secure_yard.connect(f"client-{VICTIM}") as victim:
        for name in ("known-1", attacker.message_id("known-1")):
            await attacker.nc.request(f"yard.jobs.bulk.{ME}.none", body, headers={"Nats-Msg-Id": name})
        name = victim.message_id("known-1")
        reply = await victim.nc.request(f"yard.jobs.bulk.{VICTIM}.none", body, headers={"Nats-Msg-Id": name})
        assert "duplicate" not in json.loads(reply.data)


async def test_a_consumer_may_deliver_to_another_tenant_in_a_shared_account_a6(shared: Bus) -> None:
    await put_own_result(shared)
    await make_consumer(shared)  # with a filter that is permitted, and a target that no permission looks at


async def test_no_consumer_is_made_between_accounts_a6(attacker: Bus) -> None:
    with pytest.raises(ApiError, match="not enabled"):
        await make_consumer(attacker)


async def make_consumer(bus: Bus) -> None:
    config = {
        "deliver_subject": f"yard.done.{VICTIM}.pushed",
        "filter_subject": f"yard.results.{ME}.mine",
        "deliver_policy": "all",
        "ack_policy": "none",
    }
    await bus.api("CONSUMER.CREATE.YARD_RESULTS", {"stream_name": "YARD_RESULTS", "config": config})


async def test_nothing_is_heard_of_another_tenant_g4(
    secure_yard: SecureServer, attacker: Bus, wait_until: WaitUntil
) -> None:
    heard: list[str] = []
    await attacker.nc.hear(">", lambda message: heard.append(message.subject))
    await attacker.nc.flush()
    async with (
        secure_yard.client(f"client-{VICTIM}") as victim,
        secure_yard.client(f"client-{ME}") as me,
    ):
        await victim.generate("a secret", adapter="base", timeout_seconds=30)
        mine = await me.submit("mine", adapter="base")
        await mine.result(timeout_seconds=30)
        await wait_until(lambda: f"yard.done.{ME}.{mine.id}" in heard)
    assert not [subject for subject in heard if VICTIM in subject]


@pytest.mark.parametrize(
    "question",
    [
        {"multi_last": [f"yard.results.{VICTIM}.theirs"]},
        {"multi_last": ["yard.results.>"]},
        {"multi_last": [f"yard.results.{ME}.mine", f"yard.results.{VICTIM}.theirs"]},
        {"last_by_subj": f"yard.results.{VICTIM}.theirs"},
        {"seq": 1, "next_by_subj": "yard.results.*.*"},
        {"seq": 1, "next_by_subj": f"yard.results.{ME}.>"},
        {"seq": 1},
        {"start_time": "2020-01-01T00:00:00Z", "multi_last": ["yard.>"]},
        [],
        "yard",
        {"multi_last": [f"yard.results.{ME}.mine", 7]},
        {"multi_last": [f"yard.results.{ME}.mine"], "a_field_to_come": True},
    ],
    ids=repr,
)
async def test_a_read_that_names_anothers_subject_in_its_body_is_refused_g4(
    attacker: Bus, yard: Bus, question: object
) -> None:
    with suppress(nats.errors.Error):
        await yard.js.publish(f"yard.results.{VICTIM}.theirs", b"theirs")
    reply = await attacker.nc.request(RESULTS, json.dumps(question).encode(), timeout=3)
    assert (reply.headers or {}).get("Status") == "408"
    assert not reply.data


async def test_a_stream_tells_a_tenant_nothing_of_whose_jobs_it_has_g4(attacker: Bus) -> None:
    with pytest.raises(ApiError, match="not told whose"):
        await attacker.api("STREAM.INFO.YARD_JOBS", {"subjects_filter": ">"})
    told = await attacker.api("STREAM.INFO.YARD_JOBS")
    assert told["ts"]
    assert "subjects" not in told["state"]
    assert VICTIM not in json.dumps(told)


async def test_another_tenants_job_is_not_cancelled_and_not_explained_g4(
    secure_yard: SecureServer, attacker: Bus
) -> None:
    async with secure_yard.client(f"client-{VICTIM}") as victim:
        job = await victim.submit("later", delay_seconds=300)
        for verb, body in (
            ("cancel", {"tenant": VICTIM, "job": job.id}),
            ("cancel-many", {"tenant": VICTIM, "jobs": [{"job": job.id}]}),
            ("explain", {"tenant": VICTIM, "job": job.id}),
            ("limits", {"tenant": VICTIM}),
            ("limits", {}),
        ):
            reply = await attacker.nc.request(f"yard.dispatcher.{verb}", json.dumps(body).encode(), timeout=3)
            assert (reply.headers or {})["Nats-Service-Error-Code"] == "403", verb
        assert (await job.status()).place.value == "scheduled"
        assert await job.cancel()


async def test_a_schedule_does_not_start_a_job_as_another_tenants_g4(
    attacker: Bus, yard: Bus, wait_until: WaitUntil
) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = {"Nats-Schedule": f"@at {at}", "Nats-Schedule-Target": f"yard.due.normal.{VICTIM}.base"}
    body, forged = encode(Job(id="stolen", prompt="x")), {"Nats-Scheduler": f"yard.delayed.{VICTIM}.stolen"}
    await attacker.nc.request(f"yard.delayed.{ME}.stolen", body, headers=dict(head))
    reply = await attacker.nc.request(f"yard.delayed.{ME}.forged", body, headers={**head, **forged})
    assert json.loads(reply.data)["error"]["err_code"] == 10212, "the server itself says where it lay"

    async def buried() -> bool:
        return await stored(yard, "YARD_DEAD", f"yard.dead.{ME}.>") >= 1

    await wait_until(buried, seconds=30)
    assert await stored(yard, "YARD_RESULTS", f"yard.results.{VICTIM}.stolen") == 0
    assert await stored(yard, "YARD_DEAD", f"yard.dead.{VICTIM}.>") == 0


@pytest.mark.parametrize(
    "subject",
    [
        f"yard.jobs.normal.{VICTIM}.base",
        f"yard.delayed.{VICTIM}.j",
        f"yard.results.{ME}.j",
        f"yard.own.{VICTIM}.get.results",
        f"yard.due.normal.{ME}.base",
        "yard.worker.w1.assign",
        "yard.worker.w1.control.cancel",
        "yard.dispatcher.place",
        "yard.dispatcher.status",
        "yard.svc.snapshot",
        "$KV.yard_control.strike.x",
        "$KV.yard_adapters.x",
        "$O.yard_payloads.C.x",
        f"{RESULTS}.yard.results.{VICTIM}.j",
        "$SYS.REQ.SERVER.PING",
    ],
)
async def test_a_tenants_account_reaches_nothing_else_of_the_yard_g4(attacker: Bus, subject: str) -> None:
    assert await is_refused(attacker, subject, b"{}")


async def test_streams_are_neither_made_nor_read_from_a_tenants_account_g4(attacker: Bus) -> None:
    for verb in (
        "STREAM.CREATE.MINE",
        "STREAM.PURGE.YARD_JOBS",
        "STREAM.MSG.GET.YARD_RESULTS",
        "STREAM.LIST",
    ):
        with pytest.raises((ApiError, nats.errors.Error)):
            await attacker.api(verb, {}, timeout_seconds=0.5)


async def test_what_a_tenant_is_not_told_is_said_so(secure_yard: SecureServer) -> None:
    async with secure_yard.client(f"client-{ME}") as client:
        with pytest.raises(BusRefusedError, match="may not publish on"):
            await client.workers()
        with pytest.raises(BusRefusedError, match="is not told"):
            await client.queue_depth()
        with pytest.raises(BusUnavailableError, match="refuses that"):
            await client.submit("long " * 200_000, adapter="base")
