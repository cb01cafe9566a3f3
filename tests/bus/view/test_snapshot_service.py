"""The service tells what the bus holds, and whoever asks is answered with it or without (F3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard.view.service import SnapshotService, snapshots_served
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.snapshot import AskSnapshot, SnapshotPart, YardSnapshot
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

Wait = Callable[..., Awaitable[None]]


@pytest.fixture
async def service(settings: YardSettings) -> AsyncIterator[SnapshotService]:
    async with await connect(settings, name="host") as bus, snapshots_served(bus, host="test") as service:
        yield service


async def test_it_tells_of_a_yard_at_work(
    yard: Yard, service: SnapshotService, adapters: Path, wait_until: Wait
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    async with Client(settings=yard.settings) as client:
        first = await client.snapshot()
        assert first.overview.workers == 1
        for number in range(3):
            assert (await client.generate(f"hello {number}", adapter=ADAPTER)).text

        async def is_told() -> bool:
            shown = await client.snapshot(older_seconds=0.2)
            (row,) = shown.adapters
            return row.traffic is not None and shown.overview.jobs_per_second is not None

        # Results are heard from the first question on.
        for _ in range(2):
            await client.generate("hello", adapter=ADAPTER)
        await wait_until(is_told)
        shown = await client.snapshot()
    assert [status.dispatcher for status in shown.dispatchers] == ["d1"]
    assert not [trouble.code for trouble in shown.troubles]
    (row,) = shown.adapters
    assert row.slots == ("w1",)
    assert row.traffic is not None
    assert row.traffic.p50_ms > 0


async def test_the_same_reading_answers_all_who_ask_within_a_second(
    bus: Bus, service: SnapshotService
) -> None:
    subject = bus.subjects.service("snapshot")
    body = encode(AskSnapshot(parts=(SnapshotPart.QUEUES,), older_seconds=60))
    answers = [await bus.nc.request(subject, told, timeout=5) for told in (body, body, b"")]
    read = [decode(YardSnapshot, answer.data) for answer in answers]
    assert read[0].sequence == read[1].sequence
    assert read[0].prefix == bus.settings.prefix


async def test_what_is_no_question_is_refused_by_name(bus: Bus, service: SnapshotService) -> None:
    answer = await bus.nc.request(bus.subjects.service("snapshot"), b'{"parts": ["all"]}', timeout=5)
    assert (answer.headers or {})["Nats-Service-Error-Code"] == "400"


async def test_a_host_that_hangs_holds_nobody_up_for_long(settings: YardSettings, bus: Bus) -> None:
    async def never(_message: object) -> None:
        """Answer nothing."""

    await bus.nc.subscribe(bus.subjects.service("snapshot"), cb=never)
    async with Client(settings=settings) as client:
        assert (await client.snapshot()).sequence == 1


async def test_what_has_no_room_in_a_message_is_refused_at_once(
    settings: YardSettings, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await connect(settings, name="host") as host, snapshots_served(host, host="test"):
        monkeypatch.setattr(host.nc, "_max_payload", 200)
        answer = await bus.nc.request(bus.subjects.service("snapshot"), b"", timeout=5)
    assert (answer.headers or {})["Nats-Service-Error-Code"] == "413"
