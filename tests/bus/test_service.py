"""Micro services of the yard end without leaving anybody unanswered."""

from __future__ import annotations

import asyncio

import nats.micro
import pytest
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, ServiceConfig

from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.service import end_service

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
