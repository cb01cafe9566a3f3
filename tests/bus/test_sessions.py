"""Sessions keep their adapter, through every dispatcher and for no other tenant, on the real bus (B3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_dispatcher.sessions import Sessions
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import Maker
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.logs import process_logger
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

REF = AdapterRef(name=ADAPTER, version="1", digest="sha256:" + "0" * 64)


async def turn(
    yard: Yard, name: str, *, tenant: str = "acme", session: str = "chat", adapter: str | None = None
) -> Maker:
    """Who answered a turn."""
    await yard.publish(Job(id=name, prompt="hello", session=session), tenant=tenant, adapter=adapter)
    maker = (await yard.result(name, tenant=tenant)).maker
    assert maker is not None
    return maker


async def written(bus: Bus) -> int:
    """Writes to the bucket so far."""
    info = await bus.api(f"STREAM.INFO.KV_{bus.subjects.bucket('sessions')}")
    return int(info["state"]["last_seq"])


def key_of(bus: Bus, tenant: str = "acme", session: str = "chat") -> str:
    return f"$KV.{bus.subjects.bucket('sessions')}.{session_key(tenant, session)}"


async def test_a_session_keeps_its_adapter_until_a_turn_names_another__b3(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    made = [await turn(yard, "t1"), await turn(yard, "t2", adapter=ADAPTER), await turn(yard, "t3")]
    made += [await turn(yard, "t4", adapter="base"), await turn(yard, "t5")]
    assert [(maker.adapter, maker.rule) for maker in made] == [
        (None, "base"),
        (ADAPTER, "explicit"),
        (ADAPTER, "session"),
        (None, "explicit"),
        (None, "session"),
    ]

    async def told() -> bool:
        status = await yard.status()
        return (status.sessions, status.session_turns_kept, status.session_turns_moved) == (1, 4, 0)

    await wait_until(told)


async def test_a_session_outlives_its_dispatcher_and_is_nobody_elses__b3(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    first = await yard.dispatcher("d1")
    await yard.worker(adapters_dir=adapters)
    await turn(yard, "t1", adapter=ADAPTER)

    async def is_written() -> bool:
        return await written(yard.bus) == 1

    await wait_until(is_written)
    await first.stop()
    await yard.dispatcher("d2")
    assert (await turn(yard, "t2")).rule == "session"
    assert (await turn(yard, "t3", tenant="other")).adapter is None
    assert (await turn(yard, "t4", session="another")).adapter is None


async def test_a_session_is_written_once_however_many_turns_it_has__b3(yard: Yard, adapters: Path) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await turn(yard, "first", adapter=ADAPTER)
    for number in range(20):
        assert (await turn(yard, f"t{number}")).rule == "session"
    await turn(yard, "without", session="last")  # its write comes after all others
    assert await written(yard.bus) <= 2


async def test_without_its_bucket_a_session_falls_back_and_is_answered__b3(
    yard: Yard, adapters: Path
) -> None:
    first = await yard.dispatcher("d1")
    await yard.worker(adapters_dir=adapters)
    await turn(yard, "t1", adapter=ADAPTER)
    await first.stop()
    await yard.dispatcher("d2")
    await yard.bus.api(f"STREAM.DELETE.KV_{yard.bus.subjects.bucket('sessions')}")
    made = await turn(yard, "t2")
    assert (made.adapter, made.rule) == (None, "base")
    assert (await turn(yard, "t3", adapter=ADAPTER)).rule == "explicit"
    assert (await turn(yard, "t4")).rule == "session"  # this dispatcher has it in memory
    await declare(yard.bus, topology(yard.settings))


async def test_a_session_whose_time_is_over_falls_back__b3(
    make_settings: Callable[..., Awaitable[YardSettings]], wait_until: WaitUntil, adapters: Path
) -> None:
    settings = await make_settings(session_ttl_seconds=1)
    async with await connect(settings, name="test") as bus:
        yard = Yard(settings, bus, wait_until)
        await yard.dispatcher()
        await yard.worker(adapters_dir=adapters)
        await turn(yard, "t1", adapter=ADAPTER)

        async def is_dropped() -> bool:
            info = await bus.api(f"STREAM.INFO.KV_{bus.subjects.bucket('sessions')}")
            return bool(info["state"]["last_seq"]) and not info["state"]["messages"]

        await wait_until(is_dropped)
        assert (await turn(yard, "t2")).rule == "base"
        await yard.stop()


async def test_a_record_that_is_no_record_or_anothers_is_not_believed__b3(yard: Yard, adapters: Path) -> None:
    await yard.worker(adapters_dir=adapters)
    known = await yard.record(ADAPTER)
    stolen = SessionRecord(
        tenant="other",
        session="chat",
        adapter=AdapterRef(name=known.name, version=known.version, digest=known.digest),
        chosen_at=1.0,
        worker="w1",
        at=1e10,
    )
    await yard.bus.js.publish(key_of(yard.bus), encode(stolen))
    await yard.bus.js.publish(key_of(yard.bus, session="second"), b"\xc1 no record")
    await yard.dispatcher()
    assert (await turn(yard, "t1")).rule == "base"
    assert (await turn(yard, "t2", session="second")).rule == "base"


async def test_a_conversation_of_twenty_turns_stays_on_one_worker_beside_other_load__b3(
    yard: Yard, adapters: Path
) -> None:
    await yard.dispatcher(prefill_seconds_per_token=10.0)  # nothing is dearer here than moving
    for name in ("w1", "w2", "w3"):
        await yard.worker(name, adapters_dir=adapters, rows=2, lookahead=0, echo_delay_seconds=0.02)
    load = [Job(id=f"load-{number}", prompt="x") for number in range(2_000)]
    await asyncio.gather(*(yard.publish(job, lane=Lane.BULK, adapter=ADAPTER) for job in load))
    first = await turn(yard, "first", adapter=ADAPTER)
    made = [await turn(yard, f"t{number}") for number in range(20)]
    assert await yard.left() > 0, "there was other load to the end"
    assert {(maker.worker, maker.adapter, maker.rule) for maker in made} == {
        (first.worker, ADAPTER, "session")
    }


async def test_a_conversation_goes_on_elsewhere_when_its_worker_is_gone__b3(
    yard: Yard, adapters: Path
) -> None:
    await yard.dispatcher(prefill_seconds_per_token=10.0)
    workers = {name: await yard.worker(name, adapters_dir=adapters) for name in ("w1", "w2")}
    first = await turn(yard, "first", adapter=ADAPTER)
    await workers.pop(first.worker).stop()
    made = [await turn(yard, f"t{number}") for number in range(3)]
    assert {(maker.worker, maker.adapter) for maker in made} == {(*workers, ADAPTER)}


@pytest.fixture
async def two(settings: YardSettings) -> AsyncIterator[tuple[Sessions, Sessions]]:
    """What two dispatchers know of sessions."""
    async with await connect(settings, name="d1") as one, await connect(settings, name="d2") as other:
        tasks = OwnedTasks(process_logger())
        both = (Sessions(one, tasks.spawn, lambda _: None), Sessions(other, tasks.spawn, lambda _: None))
        for sessions in both:
            await sessions.listen()
        yield both
        await tasks.settle()


async def test_what_one_dispatcher_learns_the_other_hears__b3(
    two: tuple[Sessions, Sessions], wait_until: WaitUntil
) -> None:
    one, other = two
    await wait_until(lambda: None not in [each.get("acme", "chat", "j") for each in two])
    found, heard = one.get("acme", "chat", "j"), other.get("acme", "chat", "j")
    assert found is not None
    assert heard is not None
    found.choose(REF, 5.0)
    one.handed(found, "w2", 100.0)
    await wait_until(lambda: (heard.adapter, heard.worker) == (REF, "w2"))
    assert other.reads == 1
    other.handed(heard, "w3", 110.0)
    await wait_until(lambda: found.worker == "w3")
    assert found.adapter == REF


async def test_a_session_that_was_taken_down_is_new__b3(
    two: tuple[Sessions, Sessions], bus: Bus, wait_until: WaitUntil
) -> None:
    one, _ = two
    await wait_until(lambda: one.get("acme", "chat", "j") is not None)
    found = one.get("acme", "chat", "j")
    assert found is not None
    found.choose(REF, 5.0)
    one.handed(found, "w2", 100.0)
    await wait_until(lambda: found.stored is not None)
    bucket = await bus.js.key_value(bus.subjects.bucket("sessions"))
    await bucket.delete(session_key("acme", "chat"))

    def is_new() -> bool:
        known = one.get("acme", "chat", "j")
        return known is not None and not known.chosen

    await wait_until(is_new)
