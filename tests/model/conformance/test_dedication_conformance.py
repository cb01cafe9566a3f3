"""Every engine can serve one adapter folded into the weights, and go back."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

from tests.model.conformance.conftest import MakeEngine, WaitUntil, ask, ask_long, run, take

from lorayard_workers.engine.outcome import Cancelled, Failed, FailureKind, Outcome, Succeeded, Tier


async def test_an_engine_dedicates_itself_to_one_adapter_and_returns__c10(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    engine = start_engine()
    own, other, *_ = tiny_adapters
    assert engine.residency().dedicated is None
    engine.dedicate(own)
    found = run(engine, ask("base"), ask("other", adapter=other), ask("own", adapter=own))
    for name in ("base", "other"):
        refused = found[name]
        assert isinstance(refused, Failed)
        assert (refused.kind, refused.code) == (FailureKind.RETRYABLE, "worker_dedicated")
        assert own in refused.message
    assert isinstance(found["own"], Succeeded)
    assert engine.residency().serves_only == own
    await wait_until(lambda: engine.residency().dedicated == own)
    hits = engine.residency().slot_hits
    merged = run(engine, ask("own", adapter=own))["own"]
    assert isinstance(merged, Succeeded)
    assert merged.tier is Tier.MERGED
    residency = engine.residency()
    assert (residency.slot_hits, [slot.rows for slot in residency.slots if slot.rows]) == (hits + 1, [])
    engine.dedicate(None)
    after = run(engine, ask("base"), ask("other", adapter=other), ask("own", adapter=own))
    assert [getattr(after[name], "tier", None) is Tier.MERGED for name in after] == [False] * 3
    assert engine.residency().dedicated is None


async def test_rows_that_run_end_before_the_weights_change__c10(
    start_engine: MakeEngine,
    tiny_adapters: dict[str, Path],
    outcomes: SimpleQueue[Outcome],
    wait_until: WaitUntil,
) -> None:
    engine = start_engine(slow=True)
    own = next(iter(tiny_adapters))
    engine.submit(ask_long("base"), outcomes.put)
    await wait_until(lambda: engine.residency().rows_running == 1)
    engine.dedicate(own)
    refused = run(engine, ask("late"))["late"]
    assert isinstance(refused, Failed)
    assert engine.residency().dedicated is None
    assert engine.residency().rows_running == 1
    engine.cancel("base")
    await wait_until(lambda: engine.residency().dedicated == own)
    engine.submit(ask_long("merged", adapter=own), outcomes.put)
    await wait_until(lambda: engine.residency().rows_running == 1)
    engine.dedicate(None)
    engine.submit(ask_long("waits"), outcomes.put)
    await wait_until(lambda: engine.residency().queued == 1)
    assert engine.residency().dedicated == own
    engine.cancel("merged")
    await wait_until(lambda: engine.residency().dedicated is None and engine.residency().rows_running == 1)
    engine.cancel("waits")
    assert {name: type(o) for name, o in take(outcomes, 3).items()} == dict.fromkeys(
        ("base", "merged", "waits"), Cancelled
    )


async def test_a_dedication_that_fails_or_is_taken_back_leaves_all_as_it_was__c10(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    engine = start_engine()
    engine.dedicate("sha256:0")
    await wait_until(lambda: engine.residency().serves_only is None)
    engine.dedicate(next(iter(tiny_adapters)))
    engine.dedicate(None)
    for keys in ([None, *tiny_adapters], [None, *tiny_adapters]):
        found = run(engine, *(ask(str(i), adapter=key) for i, key in enumerate(keys)))
        assert all(isinstance(outcome, Succeeded) for outcome in found.values())
    assert engine.residency().dedicated is None
