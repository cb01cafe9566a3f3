"""`lorayard doctor` finds each kind of broken yard, and what does not answer hides nothing else."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard_cli.checks.adapters import check_folder, check_registered
from lorayard_cli.checks.audit import check_audit
from lorayard_cli.checks.bus import check_bus
from lorayard_cli.checks.clocks import check_clocks
from lorayard_cli.checks.finding import Finding, Level, ok
from lorayard_cli.checks.fleet import check_fleet
from lorayard_cli.checks.looking import Look, look_at_all
from lorayard_cli.checks.queue import check_consumers, check_queue, check_schedules
from lorayard_cli.checks.room import check_streams
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_shared.audit.writing import writer_of
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

ROUNDED = 0.1
"""Seconds are told with one figure behind the point."""


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def trouble(findings: AsyncIterator[Finding]) -> list[tuple[Level, str]]:
    """What is not well."""
    return [(one.level, one.message) async for one in findings if one.level is not Level.OK]


async def advertise(bus: Bus, name: str, at: float, *, base: str = "0") -> None:
    load = WorkerLoad(worker=name, epoch=1, number=1, room=1)
    advert = WorkerAdvert(
        worker=name,
        epoch=1,
        sequence=1,
        at=at,
        engine="echo",
        model="tiny",
        base_digest="sha256:" + base * 64,
        context_tokens=16,
        load=load,
    )
    await (await bus.js.key_value(bus.subjects.bucket("workers"))).put(name, encode(advert))


async def test_clocks_that_go_wrong_are_named_with_how_much__f6(bus: Bus) -> None:
    now = time.time()
    await advertise(bus, "right", now)
    assert await trouble(check_clocks(bus)) == []
    await advertise(bus, "fast", now + 3.0)
    await advertise(bus, "slow", now - 90.0)
    ((level, message),) = await trouble(check_clocks(bus))
    assert level is Level.FAIL
    found = re.match(r"slow is ([\d.]+) s behind, fast is ([\d.]+) s ahead", message)
    assert found is not None, message
    behind, ahead = map(float, found.groups())
    passed = time.time() - now + ROUNDED  # since their clocks were read
    assert 90.0 - ROUNDED <= behind <= 90.0 + passed
    assert 3.0 - passed <= ahead <= 3.0 + ROUNDED
    assert "right" not in message


async def test_a_lane_that_nobody_pulls_from_is_named_unless_it_is_paused__f6(
    yard: Yard, client: Client
) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    ((level, message),) = await trouble(check_consumers(yard.bus, client))
    assert (level, message) == (Level.FAIL, "nobody pulls from dispatch-normal, where 1 jobs wait")
    await client.control.pause("lane", "normal", reason="test")
    assert await trouble(check_consumers(yard.bus, client)) == []
    await client.control.resume("lane", "normal", reason="test")
    await yard.dispatcher()
    await yard.worker()
    await yard.result("j")
    await yard.nothing_left()
    assert await trouble(check_consumers(yard.bus, client)) == []
    assert [one.message async for one in check_queue(yard.bus, client)] == ["empty"]


async def test_a_queue_that_has_just_begun_to_wait_is_no_trouble__f6(yard: Yard, client: Client) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    assert await trouble(check_queue(yard.bus, client)) == []


async def test_a_schedule_that_nobody_looks_at_is_named__f6(bus: Bus, client: Client) -> None:
    await client.schedules.add("digest", "x", cron="0 * * * *")
    assert await trouble(check_schedules(bus)) == []


async def test_how_full_streams_are_is_told_of_all_that_refuse__f6(bus: Bus) -> None:
    checks = [one.check async for one in check_streams(bus)]
    assert checks == [f"room for {kind}" for kind in ("jobs", "delayed", "results", "payloads")]


async def test_a_file_that_the_store_lost_is_named_and_a_damaged_one_by_deep__f6(
    bus: Bus, client: Client, adapters: Path
) -> None:
    await client.adapters.push(adapters / ADAPTER / "1", name=ADAPTER, version="1")
    sound = [one async for one in check_registered(bus, client, deep=False)]
    assert sound[-1].message.startswith("files of 1 versions")
    assert await trouble(check_registered(bus, client, deep=True)) == []
    bucket = bus.subjects.bucket("blobs")
    await bus.api(f"STREAM.PURGE.OBJ_{bucket}", {"filter": f"$O.{bucket}.C.>"})
    assert await trouble(check_registered(bus, client, deep=False)) == [], "its name is still there"
    assert await trouble(check_registered(bus, client, deep=True)) != []
    await bus.api(f"STREAM.PURGE.OBJ_{bucket}")
    lost = await trouble(check_registered(bus, client, deep=False))
    assert {level for level, _ in lost} == {Level.FAIL}
    assert all(f"{ADAPTER}@1" in message and "does not have it" in message for _, message in lost)


async def test_a_torn_folder_is_found_by_its_head_and_a_bad_value_by_deep__f6(adapters: Path) -> None:
    good = adapters / ADAPTER / "1"
    for version in ("2", "3"):
        shutil.copytree(good, good.parent / version)
    torn = good.parent / "2" / "adapter_model.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    spoilt = good.parent / "3" / "adapter_model.safetensors"
    spoilt.write_bytes(spoilt.read_bytes()[:-4] + b"\x00\x00\xc0\x7f")
    ((_, quick),) = await trouble(check_folder(adapters, deep=False))
    assert str(good.parent / "2") in quick
    deep = await trouble(check_folder(adapters, deep=True))
    assert [str(good.parent / version) in message for version, (_, message) in zip("23", deep, strict=True)]


async def test_one_that_never_answers_hides_nothing_that_others_found__f6(bus: Bus) -> None:
    async def hangs() -> AsyncIterator[Finding]:
        yield ok("first", "was found before")
        await asyncio.Event().wait()

    async def refused() -> AsyncIterator[Finding]:
        await bus.api("STREAM.INFO.NO_SUCH_STREAM")
        yield ok("never", "reached")

    found = await look_at_all(
        [
            Look(check="hangs", find=hangs, seconds=0.2),
            Look(check="refused", find=refused),
            Look(check="well", find=lambda: [ok("well", "is")]),
        ]
    )
    assert [(one.check, one.level) for one in found] == [
        ("first", Level.OK),
        ("hangs", Level.FAIL),
        ("refused", Level.FAIL),
        ("well", Level.OK),
    ]
    assert all(one.mend for one in found if one.level is Level.FAIL)


async def test_workers_of_different_base_models_and_nobody_who_leads_them_are_named__f6(
    bus: Bus, client: Client
) -> None:
    await advertise(bus, "w1", time.time())
    await advertise(bus, "w2", time.time(), base="1")
    found = {one.check: one async for one in check_fleet(bus, client)}
    assert found["base model"].level is Level.FAIL
    assert "w1: sha256:000" in found["base model"].message
    assert "w2: sha256:111" in found["base model"].message
    assert found["base model"].mend is not None
    assert (found["dispatcher"].level, found["dispatcher"].message) == (Level.FAIL, "none answers")


async def test_an_adapter_for_a_base_model_that_no_worker_has_is_named__f6(
    yard: Yard, adapters: Path, client: Client
) -> None:
    worker = await yard.worker(adapters_dir=adapters)
    await worker.stop()
    await advertise(yard.bus, "w2", time.time(), base="1")
    found = {one.check: one async for one in check_fleet(yard.bus, client)}
    assert found["registered adapters"].level is Level.WARN
    assert f"{ADAPTER}@1: made for a base model that no worker has" in found["registered adapters"].message


async def test_a_server_that_is_too_old_is_named__f6(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorayard_cli.checks.bus.NEEDED_VERSION", (99, 0))
    ((level, message),) = await trouble(check_bus(bus, mending=False))
    assert level is Level.FAIL
    assert "at least 99.0 is needed" in message


async def test_a_stream_that_drifted_is_named_and_mended__f6(bus: Bus) -> None:
    stream = bus.subjects.stream("audit")
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    await bus.api(f"STREAM.UPDATE.{stream}", {**config, "max_bytes": 2**20})
    ((level, message),) = await trouble(check_bus(bus, mending=False))
    assert (level, stream in message, "max_bytes" in message) == (Level.WARN, True, True)
    assert await trouble(check_bus(bus, mending=True)) == []
    assert (await bus.api(f"STREAM.INFO.{stream}"))["config"]["max_bytes"] == config["max_bytes"]


async def test_an_audit_trail_with_a_gap_is_named__f4__f6(bus: Bus) -> None:
    writer, subject = writer_of(bus), bus.subjects.registry_audit("rules", "a", "1")
    for number in range(3):
        assert await writer.write(subject, b"{}", message_id=str(number)) is None
    assert await trouble(check_audit(bus)) == []
    await bus.api(f"STREAM.MSG.DELETE.{bus.subjects.stream('audit')}", {"seq": 2})
    ((level, message),) = await trouble(check_audit(bus))
    assert (level, "at record 2" in message) == (Level.FAIL, True)
