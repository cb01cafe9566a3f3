"""Every engine pins, preloads and unloads adapters without making anybody wait."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import pytest
from tests.model.conformance.conftest import ROWS, MakeEngine, WaitUntil, ask, ask_long, run, take

from lorayard_workers.engine.outcome import Cancelled, Outcome, Succeeded, Tier
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.errors import CapacityError


def in_slots(engine: Engine) -> set[str]:
    return {slot.digest for slot in engine.residency().slots}


async def test_a_pinned_adapter_is_brought_into_a_slot_and_stays_until_unpinned__c3(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    engine = start_engine()
    kept, *others = tiny_adapters
    engine.pin("sha256:0")  # only the log hears of it
    await wait_until(lambda: not engine.residency().pinned)
    engine.pin(kept)
    await wait_until(lambda: kept in in_slots(engine))
    run(engine, *(ask(str(i), adapter=key) for i, key in enumerate(others * 2)))
    assert [(slot.digest, slot.pinned) for slot in engine.residency().slots if slot.pinned] == [(kept, True)]
    assert engine.residency().pinned == {kept}
    engine.unpin("sha256:0")
    engine.unpin(kept)
    run(engine, *(ask(str(i), adapter=key) for i, key in enumerate(others * 2)))
    assert kept not in in_slots(engine)
    assert engine.residency().pinned == frozenset()


async def test_pins_that_leave_no_slot_for_others_are_refused__c3_g3(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    engine = start_engine()
    first, second, *_ = tiny_adapters
    engine.pin(first)
    engine.pin(first)  # the same one again is no second pin
    with pytest.raises(CapacityError, match="slots is 2"):
        engine.pin(second)
    engine.unpin(first)
    await wait_until(lambda: not engine.residency().pinned)
    engine.pin(second)
    await wait_until(lambda: second in in_slots(engine))


async def test_a_preloaded_adapter_is_in_a_slot_before_its_first_row__c4(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    engine = start_engine()
    first, second, third, *_ = tiny_adapters
    run(engine, ask("a", adapter=first), ask("b", adapter=second))  # both slots are taken, and idle
    engine.preload("sha256:0")  # only the log hears of it
    engine.preload(third)
    await wait_until(lambda: third in in_slots(engine))
    outcome = run(engine, ask("c", adapter=third))["c"]
    assert isinstance(outcome, Succeeded)
    assert outcome.tier is Tier.SLOT


async def test_a_preload_takes_no_slot_from_a_row__c4(
    start_engine: MakeEngine,
    tiny_adapters: dict[str, Path],
    outcomes: SimpleQueue[Outcome],
    wait_until: WaitUntil,
) -> None:
    engine = start_engine(slow=True)
    first, second, third, *_ = tiny_adapters
    for adapter in (first, second):
        engine.submit(ask_long(adapter, adapter=adapter), outcomes.put)
    await wait_until(lambda: engine.residency().rows_running == ROWS)
    engine.preload(third)
    await wait_until(lambda: third in engine.residency().host)
    assert in_slots(engine) == {first, second}


async def test_an_unloaded_adapter_leaves_slot_and_host_memory_once_no_row_uses_it__c3(
    start_engine: MakeEngine,
    tiny_adapters: dict[str, Path],
    outcomes: SimpleQueue[Outcome],
    wait_until: WaitUntil,
) -> None:
    engine = start_engine(slow=True)
    adapter = next(iter(tiny_adapters))
    engine.submit(ask_long("a", adapter=adapter), outcomes.put)
    await wait_until(lambda: engine.residency().rows_running == 1)
    engine.unload("sha256:0")
    engine.unload(adapter)
    assert in_slots(engine) == {adapter}
    engine.cancel("a")
    assert take(outcomes, 1) == {"a": Cancelled(request_id="a")}
    await wait_until(lambda: adapter not in in_slots(engine) | engine.residency().host)
    assert engine.residency().columns_used == 0
    assert engine.residency().host_bytes == 0
    engine.preload(adapter)  # and it can come back
    await wait_until(lambda: adapter in in_slots(engine))
