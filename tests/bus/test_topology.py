"""The yard's streams, buckets and consumers: made once, compared ever after, put right on demand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import nats.js.errors
import pytest

from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare, find_drift, mend
from lorayard_shared.bus.topology import lane_consumer, topology
from lorayard_shared.errors import BusDeclarationError, BusUnavailableError
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus


async def test_declaring_again_changes_nothing_and_finds_no_drift(bus: Bus, settings: YardSettings) -> None:
    assert await declare(bus, topology(settings)) == ()
    assert await find_drift(bus, topology(settings)) == ()


async def test_what_differs_is_reported_and_left_as_it_is(bus: Bus, settings: YardSettings) -> None:
    """An operator may have raised the limit on purpose."""
    other = topology(settings.model_copy(update={"jobs_max_bytes": 2**21, "window": 7}))
    drift = await declare(bus, other)
    lanes = {f"{bus.subjects.stream('jobs')}/{lane_consumer(lane)}" for lane in Lane}
    due = f"{bus.subjects.stream('delayed')}/dispatch-due"
    assert {(one.name, one.key) for one in drift} == {
        (bus.subjects.stream("jobs"), "max_bytes"),
        *((name, "max_ack_pending") for name in {*lanes, due}),
    }
    assert f"is {settings.jobs_max_bytes}, declared {2**21}" in str(drift[0])
    assert await find_drift(bus, topology(settings)) == ()


async def test_what_differs_is_mended_on_demand(bus: Bus, settings: YardSettings) -> None:
    other = topology(settings.model_copy(update={"jobs_max_bytes": 2**21, "window": 7}))
    assert await mend(bus, other) == ()
    assert await find_drift(bus, other) == ()


async def test_what_is_missing_is_reported_and_made_anew(bus: Bus, settings: YardSettings) -> None:
    await bus.api(f"CONSUMER.DELETE.{bus.subjects.stream('jobs')}.{lane_consumer(Lane.BULK)}")
    await bus.api(f"STREAM.DELETE.{bus.subjects.stream('tokens')}")
    missing = [str(one) for one in await find_drift(bus, topology(settings))]
    assert missing == [
        f"{bus.subjects.stream('tokens')} is missing",
        f"{bus.subjects.stream('jobs')}/{lane_consumer(Lane.BULK)} is missing",
    ]
    assert await mend(bus, topology(settings)) == ()


async def test_what_the_server_will_not_change_is_told_and_stops_nothing_else(
    bus: Bus, settings: YardSettings
) -> None:
    """A stream's storage is for life; the limit of the next one still gets mended."""
    wanted = topology(settings.model_copy(update={"results_max_bytes": 2**22}))
    first, *others = wanted.streams
    for_life = replace(first, config={**first.config, "storage": "memory"})
    left = await mend(bus, replace(wanted, streams=(for_life, *others)))
    assert [(one.name, one.key) for one in left] == [(first.name, "storage")]


async def test_a_declaration_the_server_refuses_is_named(bus: Bus, settings: YardSettings) -> None:
    wanted = topology(settings.model_copy(update={"prefix": f"{settings.prefix}-x"}))
    stream = replace(wanted.streams[0], config={**wanted.streams[0].config, "retention": "nonsense"})
    with pytest.raises(BusDeclarationError) as caught:
        await declare(bus, replace(wanted, streams=(stream,), consumers=()))
    assert caught.value.name == stream.name
    assert caught.value.kind == "stream"


async def test_two_yards_on_one_server_do_not_meet(
    bus: Bus, settings: YardSettings, make_settings: Callable[..., Awaitable[YardSettings]]
) -> None:
    other = await make_settings()
    address = JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None)
    await bus.js.publish(other.subjects.job(address), b"x")
    assert (await bus.api(f"STREAM.INFO.{settings.subjects.stream('jobs')}"))["state"]["messages"] == 0


@pytest.mark.parametrize("rest", ["express.t.a", "normal.t", "normal.t.a.b", "normal"])
async def test_a_job_that_nobody_would_ever_read_is_refused_at_the_door(rest: str, bus: Bus) -> None:
    """Stored where no consumer looks, it would wait for ever and nobody would know (G3)."""
    with pytest.raises(nats.js.errors.NoStreamResponseError):
        await bus.js.publish(f"{bus.settings.prefix}.jobs.{rest}", b"x")


async def test_a_full_yard_says_so_to_the_publisher(
    make_settings: Callable[..., Awaitable[YardSettings]],
) -> None:
    settings = await make_settings(jobs_max_bytes=2**20)
    address = JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None)
    async with await connect(settings, name="test") as bus:
        await bus.js.publish(bus.subjects.job(address), bytes(900 * 1024))
        with pytest.raises(nats.js.errors.APIError, match="maximum bytes exceeded"):
            await bus.js.publish(bus.subjects.job(address), bytes(200 * 1024))


async def test_no_bus_is_said_at_once_with_what_to_do() -> None:
    nowhere = YardSettings(url="nats://127.0.0.1:1", connect_timeout_seconds=0.3)
    with pytest.raises(BusUnavailableError, match="lorayard up") as caught:
        await connect(nowhere, name="test")
    assert caught.value.url == nowhere.url
