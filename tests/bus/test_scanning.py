"""Looking through a stream whose server goes away."""

from __future__ import annotations

import asyncio

import nats.errors
import pytest
from tests.bus.conftest import RunningServer, Yard

from lorayard_shared.bus import scanning

pytestmark = pytest.mark.bus


async def test_a_question_that_its_server_took_with_it_is_given_up_at_once__g2(
    own_yard: Yard, own_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader asks again when the server is back, and waits for no answer that nobody will give."""
    monkeypatch.setattr(scanning, "PAGE_SECONDS", 3600.0)
    bus = own_yard.bus
    assert not await scanning.read_page(bus, bus.subjects.stream("tokens"), bus.subjects.tokens, 1)
    own_server.kill()
    async with asyncio.timeout(30):
        with pytest.raises(nats.errors.TimeoutError):
            await scanning.read_page(bus, bus.subjects.stream("tokens"), bus.subjects.tokens, 1)
