"""Micro services of the yard end without leaving anybody unanswered."""

from __future__ import annotations

import asyncio

import nats.errors
import nats.micro
import pytest
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, ServiceConfig

from lorayard.view.service import snapshots_served
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.service import end_service
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus


async def test_what_was_asked_before_the_end_is_answered__g1(bus: Bus) -> None:
    """Or a dispatcher would wait out its time for the answer of a worker that has left."""
    begun, may_end = asyncio.Event(), asyncio.Event()
    subject = f"{bus.settings.prefix}.asked"

    async def answer(request: Request) -> None:
        begun.set()
        await may_end.wait()
        await request.respond(request.data)

    async with await connect(bus.settings, name="asks") as asking:
        service = await nats.micro.add_service(bus.nc, ServiceConfig(name="slow", version="1.0.0"))
        await service.add_endpoint(EndpointConfig(name="asked", subject=subject, handler=answer))
        await bus.nc.flush()
        asked = [asyncio.create_task(asking.nc.request(subject, body, timeout=10)) for body in (b"1", b"2")]
        await begun.wait()
        await asking.nc.flush()
        ending = asyncio.create_task(end_service(bus, service))
        await bus.nc.flush()
        may_end.set()
        assert [reply.data for reply in await asyncio.gather(*asked)] == [b"1", b"2"]
        await ending


async def test_of_a_service_that_ended_nothing_is_left_on_a_connection_that_goes_on__g2(bus: Bus) -> None:
    name = f"ends-{bus.settings.prefix}"
    service = await nats.micro.add_service(bus.nc, ServiceConfig(name=name, version="1.0.0"))
    assert (await bus.nc.request(f"$SRV.PING.{name}", b"", timeout=5)).data
    await end_service(bus, service)
    with pytest.raises(nats.errors.NoRespondersError):
        await bus.nc.request(f"$SRV.PING.{name}", b"", timeout=5)


async def test_snapshots_that_could_not_begin_leave_nothing_behind__g2(
    own_settings: YardSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tries it again while the bus is in trouble would answer once for each try."""

    async def is_late(_timeout: int = 10) -> None:
        raise nats.errors.TimeoutError

    async with await connect(own_settings, name="begins") as bus:
        with monkeypatch.context() as troubled:
            troubled.setattr(bus.nc, "flush", is_late)
            with pytest.raises(nats.errors.TimeoutError):
                await snapshots_served(bus, host="exporter").__aenter__()
        with pytest.raises(nats.errors.NoRespondersError):
            await bus.nc.request("$SRV.PING.lorayard-snapshot", b"", timeout=5)
