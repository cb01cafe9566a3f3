"""What was given to a worker whose answer is lost follows changes, too: it may be there (D4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine

import pytest
from structlog.testing import capture_logs
from tests.bus.conftest import Yard
from tests.bus.fleet_trouble.conftest import Beating, Impostor, WaitUntil

from lorayard_dispatcher import withdrawing as module
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.known_worker import STALE_SECONDS
from lorayard_dispatcher.withdrawing import Withdrawing
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.job import Job
from lorayard_schemas.routes import Match, RouteRule, RouteTable
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.route_store import RouteStore
from lorayard_workers.engine.echo import EchoEngine

pytestmark = pytest.mark.bus

ANA = Author(actor="ana")
OLD, NEW = "acme/tiny/old", "acme/tiny/new"


async def serve(yard: Yard, name: str) -> None:
    record = AdapterRecord(
        name=name,
        version="1",
        digest="sha256:" + name[-3:].encode().hex().rjust(64, "0"),
        base_digest=EchoEngine().base_digest,
        rank=4,
        alpha=8.0,
        targets=("q_proj",),
        size_bytes=1,
    )
    await Records(yard.bus).create(record, ANA)


async def lead_to(yard: Yard, adapter: str) -> None:
    rules = (RouteRule(name="sums", task=Match(exact="sums"), adapter=adapter),)
    await RouteStore(yard.bus).put(RouteTable(rules=rules), ANA)


async def test_what_may_be_at_a_worker_that_gave_no_answer_is_asked_back__d4(
    long_lease_yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    for name in (OLD, NEW):
        await serve(yard, name)
    await lead_to(yard, OLD)
    await yard.dispatcher()
    unclear = Impostor(yard.bus)
    unclear.garbles = True
    await beating(unclear)
    await yard.publish(Job(id="j", prompt="x", task="sums"))
    await wait_until(lambda: bool(unclear.accepted))
    await lead_to(yard, NEW)
    await wait_until(lambda: unclear.asked_back == {unclear.accepted[0].key})


async def test_a_worker_that_beats_and_cannot_give_back_is_not_asked_for_long__d4(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """As one of an older version; one that is cut off is not heard, and is asked again."""
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.0)
    fleet, asking = Fleet("d"), list[asyncio.Task[object]]()
    older, cut_off = Impostor(bus, "older"), Impostor(bus, "cut-off")
    fleet.on_advert(older.advert(), time.monotonic() + 60.0)  # it stays fresh for as long
    fleet.on_advert(cut_off.advert(), time.monotonic() - 2 * STALE_SECONDS)

    def spawn(coroutine: Coroutine[object, object, object], _: str) -> None:
        asking.append(asyncio.create_task(coroutine))

    withdrawing = Withdrawing(bus, fleet, spawn, is_active=lambda: True)
    with capture_logs() as logs:
        withdrawing.ask_back("older", ["k"])
        withdrawing.ask_back("cut-off", ["k"])
        await wait_until(lambda: asking[0].done())
    assert [(log["event"], log["worker"]) for log in logs] == [(Event.JOBS_NOT_WITHDRAWN, "older")]
    assert not asking[1].done()
    await end_tasks(asking)
