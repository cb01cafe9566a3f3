"""What is named in the moment after it was made is not refused as unknown (B1, D4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author

pytestmark = pytest.mark.bus

MUCH_NEWS = 300
AUTHOR = Author(actor="ana", reason="at once")


async def test_an_alias_can_be_named_as_soon_as_it_is_made__d4(yard: Yard, adapters: Path) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    store, versions = AliasStore(yard.bus), {"1": await yard.record(ADAPTER)}
    for word in ("one", "two", "three"):
        for number in range(MUCH_NEWS):  # before it in the watch, and of no use to anybody
            await yard.bus.nc.publish(
                f"$KV.{yard.bus.subjects.bucket('aliases')}.none.{number}", b"no record"
            )
        await store.split(SplitWish(adapter=ADAPTER, alias=word, weights=(("1", 100.0),)), versions, AUTHOR)
        await yard.publish(Job(id=word, prompt="x"), adapter=f"{ADAPTER}@{word}")
        result = await yard.result(word)
        assert result.state is ResultState.SUCCEEDED, result.error


async def test_what_is_not_there_is_refused_all_the_same__b1(yard: Yard, adapters: Path) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    for number in range(5):
        await yard.publish(Job(id=f"j{number}", prompt="x"), adapter=f"{ADAPTER}@never")
    for number in range(5):
        result = await yard.result(f"j{number}")
        assert result.error is not None
        assert result.error.code == "unknown_adapter"
