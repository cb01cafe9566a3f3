"""Where adapters shall be takes long to find for many workers: the loop goes on meanwhile (B7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.bus.conftest import ADAPTER
from tests.unit.conftest import make_advert

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.placing import judge
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.placement import Placement, placement_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.lease import LeaseKeeper

pytestmark = pytest.mark.bus

DIGEST, BASE = "sha256:" + "1" * 64, "sha256:" + "b" * 64
DECLARED = Placement(adapter=ADAPTER, replicas_min=1)


@pytest.fixture
def dispatcher(bus: Bus) -> Dispatcher:
    """It knows a worker, an adapter and what was declared for that; nothing of it runs."""
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    made = Dispatcher(bus, LeaseKeeper(bus.settings, name="not started"), settings, "d")
    record = AdapterRecord(
        name=ADAPTER, version="1", digest=DIGEST, rank=8, alpha=8, targets=("q_proj",), size_bytes=1
    )
    made.on_adapter(record.key, encode(record))
    made.fleet.on_advert(make_advert("w1"), time.monotonic())
    made.keeping.on_placement(placement_key(ADAPTER), encode(DECLARED))
    return made


class Others:
    """What else runs on the loop."""

    turns = 0

    async def run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


@pytest.fixture
async def others() -> AsyncIterator[Others]:
    found = Others()
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()


async def test_adapters_are_placed_beside_the_loop_and_only_when_something_has_changed__b7(
    dispatcher: Dispatcher, others: Others
) -> None:
    keeping, turns = dispatcher.keeping, others.turns
    await keeping.look(time.monotonic())
    assert others.turns > turns, "nothing else could run"
    assert keeping.keeper.targets[DIGEST].replicas == ("w1",)
    turns = others.turns
    await keeping.look(time.monotonic())
    assert others.turns == turns, "nothing has changed, so there is nothing to wait for"
    dispatcher.fleet.on_advert(make_advert("w2"), time.monotonic())
    await keeping.look(time.monotonic())
    assert others.turns > turns


async def test_of_two_looks_the_second_begins_when_the_first_has_ended__b7(dispatcher: Dispatcher) -> None:
    keeping = dispatcher.keeping
    first = asyncio.create_task(keeping.look(time.monotonic()))
    await asyncio.sleep(0)
    dispatcher.fleet.on_advert(make_advert("w2"), time.monotonic())
    second = asyncio.create_task(keeping.look(time.monotonic()))
    await asyncio.sleep(0)
    assert first.done() or [site.worker for site in keeping.keeper.sites] == ["w1"]
    await second
    assert first.done()
    assert [site.worker for site in keeping.keeper.sites] == ["w1", "w2"]


async def test_a_declaration_is_judged_beside_the_loop__b7(dispatcher: Dispatcher, others: Others) -> None:
    asked = DECLARED.model_copy(update={"replicas_min": 2})
    turns = others.turns
    said = await judge(asked, (DIGEST,), dispatcher.registry, dispatcher.keeping)
    assert others.turns > turns, "nothing else could run"
    assert said.warnings == ("2 replicas are wanted, and 1 can be had now",)
