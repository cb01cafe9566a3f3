"""What a guard has counted outlives its dispatcher, and one that wakes up later overwrites nothing (D4)."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tests.bus.conftest import ADAPTER
from tests.bus.several.conftest import SeveralYard

from lorayard_dispatcher.guarding.trial import Answer, Trial
from lorayard_dispatcher.trial_ledger import TrialLedger
from lorayard_schemas.alias import AliasRecord, GuardRule
from lorayard_schemas.trial import TrialRecord, trial_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

FAILED = 19
"""Of the tried version, before the dispatcher's end: 20 are the least that stop it."""


async def try_out(several: SeveralYard, adapters: Path) -> AliasRecord:
    """An alias of which version 2 is tried out."""
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    await several.yard.worker(adapters_dir=adapters)
    versions = {version: await several.yard.record(ADAPTER, version) for version in ("1", "2")}
    for weights in ((("1", 100.0),), (("1", 80.0), ("2", 20.0))):
        wish = SplitWish(adapter=ADAPTER, alias="stable", weights=weights, guard=GuardRule())
        made = await AliasStore(several.bus).split(wish, versions, Author(actor="ana"))
    return made


async def answer(several: SeveralYard, record: AliasRecord, version: str, *, failed: bool = False) -> None:
    """As a worker tells of a job that this revision led to."""
    body: dict[str, Any] = {
        "maker": {"version": version, "alias": {"name": record.spec, "revision": record.revision}},
        "state": "failed" if failed else "succeeded",
    }
    if failed:
        body["error"] = {"kind": "retryable", "code": "engine"}
    await several.bus.nc.publish(several.bus.subjects.done("acme", "j"), msgpack.packb(body))


async def test_who_takes_over_goes_on_with_what_was_counted__d4(several: SeveralYard, adapters: Path) -> None:
    first = await several.process("d1")
    await several.yard.dispatcher("d2")
    record = await try_out(several, adapters)
    ledger, store = TrialLedger(several.bus), AliasStore(several.bus)

    async def kept() -> TrialRecord | None:
        return await ledger.read(record)

    async def is_heard() -> bool:
        await answer(several, record, "1")
        return await kept() is not None

    async def all_are_kept() -> bool:
        found = await kept()
        return found is not None and found.tried[0].failures.tried.jobs == FAILED

    await several.wait_until(is_heard)
    for number in range(5 * FAILED):
        version = "2" if number % 5 == 4 else "1"
        await answer(several, record, version, failed=version == "2")
    await several.wait_until(all_are_kept)
    first.signal(signal.SIGKILL)
    await several.wait_until(lambda: several.seats.holders == {0: "d2"})
    before = await kept()

    async def is_heard_again() -> bool:
        await answer(several, record, "1")
        return await kept() != before

    async def is_stopped() -> bool:
        return (await store.past(ADAPTER, "stable"))[-1].revision > record.revision

    await several.wait_until(is_heard_again)
    await answer(several, record, "2", failed=True)
    await several.wait_until(is_stopped)
    last = (await store.past(ADAPTER, "stable"))[-1]
    assert last.stopped == ("2",)
    assert f"2 failed in {FAILED + 1} of {FAILED + 1}" in last.why


def seen(record: AliasRecord, answers: int) -> Trial:
    trial = Trial(record)
    for number in range(answers):
        trial.see(Answer(version="1" if number % 3 else "2", failed=False, milliseconds=10.0))
    return trial


async def test_who_wakes_up_late_overwrites_nothing_and_goes_on_from_what_others_counted__d4(
    bus: Bus,
) -> None:
    arms = [{"version": "1", "weight": 50.0}, {"version": "2", "weight": 50.0}]
    record = AliasRecord.model_validate(
        {"adapter": ADAPTER, "alias": "stable", "revision": 2, "arms": arms, "control": "1", "guard": {}}
    )
    later = record.model_copy(update={"revision": 3})
    awake, late = TrialLedger(bus), TrialLedger(bus)
    assert await awake.read(record) is None
    assert await late.write(seen(record, 100).kept) is None
    more = seen(record, 200).kept
    assert await awake.write(more) is None
    assert await late.write(seen(record, 150).kept) == more
    assert await late.read(record) == more
    assert await awake.write(seen(later, 3).kept) is None
    assert await late.write(seen(record, 999).kept) == seen(later, 3).kept, "that revision is over"
    assert await late.read(record) is None


async def test_what_cannot_be_read_is_counted_anew__d4(bus: Bus) -> None:
    record = AliasRecord(adapter=ADAPTER, alias="stable", revision=1, guard=GuardRule())
    bucket = await bus.js.key_value(bus.subjects.bucket("control"))
    key = trial_key(ADAPTER, "stable")
    ledger = TrialLedger(bus)
    await bucket.put(key, b"nonsense")
    assert await ledger.read(record) is None
    assert await ledger.write(Trial(record).kept) is None
    await bucket.delete(key)
    assert await ledger.read(record) is None
    assert await ledger.write(Trial(record).kept) is None
    assert await ledger.read(record) == Trial(record).kept
