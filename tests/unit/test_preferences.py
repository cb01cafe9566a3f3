"""What a worker's engine is told of priorities, and when (B7, C3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.placement import AdapterPriority, Placement, placement_key
from lorayard_workers.engine.echo_slots import EchoSlots
from lorayard_workers.service.preferences import Preferences

NAME = "a/b/c"


def record(version: str) -> AdapterRecord:
    return AdapterRecord(
        name=NAME, version=version, digest=f"sha256:{version * 8}", rank=4, alpha=8.0, targets=("q_proj",),
        size_bytes=1,
    )  # fmt: skip


class Told:
    """An engine that keeps what it was told, and the records of its worker."""

    def __init__(self) -> None:
        self.records = [record("1")]
        self.said: list[Mapping[str, float]] = []
        self.preferences = Preferences(lambda: self.records, self.said.append)

    def declare(self, priority: AdapterPriority | None) -> None:
        body = None if priority is None else encode(Placement(adapter=NAME, priority=priority))
        self.preferences.on_placement(placement_key(NAME), body)
        self.preferences.look()


async def test_an_engine_is_told_of_each_change_and_of_nothing_else__b7__c3() -> None:
    told = Told()
    told.declare(AdapterPriority.NORMAL)
    told.declare(AdapterPriority.HIGH)
    told.declare(AdapterPriority.HIGH)
    told.declare(AdapterPriority.LOW)
    told.declare(None)
    one = record("1").digest
    assert told.said == [{one: 2.0}, {one: -2.0}, {}]


async def test_a_version_that_comes_later_has_its_names_priority__b7__c3(
    wait_until: Callable[..., Awaitable[None]],
) -> None:
    told = Told()
    told.declare(AdapterPriority.HIGH)
    told.records.append(record("2"))
    told.preferences.on_record()
    running = asyncio.create_task(told.preferences.run())
    try:
        await wait_until(lambda: len(told.said) == 2)
    finally:
        running.cancel()
    assert told.said[-1] == {record(version).digest: 2.0 for version in "12"}


def test_an_echo_engine_keeps_what_is_preferred_longer__c3() -> None:
    memory = EchoSlots(2)
    memory.doublings = {"a": 2.0}
    for at, digest in enumerate("abc"):
        memory.lease(digest, float(at))
        memory.release(digest)
    assert list(memory.slots) == ["a", "c"]
