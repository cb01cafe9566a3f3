"""The contract of `Engine`, kept by every engine: what a worker's service relies on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tests.model.conformance.conftest import (
    OUTCOME_SECONDS,
    ROWS,
    SLOTS,
    MakeEngine,
    WaitUntil,
    ask,
    ask_long,
    compose,
    run,
    take,
)

from lorayard_workers.engine.outcome import (
    Cancelled,
    DeadlinePassed,
    Failed,
    FailureKind,
    Outcome,
    Succeeded,
    Tier,
    TokenChunk,
    withdrawn,
)
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.request import Composition


def test_each_request_has_one_outcome_whatever_its_adapter(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path]
) -> None:
    """More adapters than slots, more requests than rows; and the books are even afterwards."""
    engine = start_engine()
    keys = [None, *tiny_adapters] * 3
    found = run(engine, *(ask(str(i), adapter=key) for i, key in enumerate(keys)))
    tiers = Counter(outcome.tier for outcome in found.values() if isinstance(outcome, Succeeded))
    assert tiers.total() == len(keys)
    assert tiers[Tier.NONE] == keys.count(None)
    residency = engine.residency()
    assert residency.adapter_rows == len(keys) - keys.count(None)
    assert residency.slot_hits == tiers[Tier.SLOT]
    assert (residency.rows_running, residency.queued) == (0, 0)
    assert [slot.rows for slot in residency.slots] == [0] * SLOTS
    assert residency.slot_loads - residency.evictions == SLOTS


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"prompt": ""}, "empty_prompt", "prompt"),
        ({"prompt": ()}, "empty_prompt", "prompt"),
        ({"adapter": "sha256:0"}, "unknown_adapter", "adapter"),
        ({"composition": Composition(parts=())}, "bad_composition", "composition.parts"),
        ({"composition": compose("sha256:0")}, "unknown_adapter", "composition"),
    ],
)
def test_a_bad_request_fails_for_good_naming_the_field(
    start_engine: MakeEngine, changes: dict[str, Any], code: str, field: str
) -> None:
    found = run(start_engine(), ask("bad", **changes), ask("good"))
    bad = found["bad"]
    assert isinstance(bad, Failed)
    assert (bad.kind, bad.code, bad.field) == (FailureKind.PERMANENT, code, field)
    assert isinstance(found["good"], Succeeded)


@pytest.fixture
async def full_engine(
    start_engine: MakeEngine,
    tiny_adapters: dict[str, Path],
    outcomes: SimpleQueue[Outcome],
    wait_until: WaitUntil,
) -> Engine:
    """Of one adapter, `running` and `beside` have its two rows, and `waiting` waits for one."""
    engine = start_engine(slow=True)
    adapter = next(iter(tiny_adapters))
    for name in ("running", "beside", "waiting"):
        engine.submit(ask_long(name, adapter=adapter), outcomes.put)
    await wait_until(lambda: (engine.residency().rows_running, engine.residency().queued) == (ROWS, 1))
    return engine


async def test_rows_are_cancelled_waiting_and_running_and_unknown_ids_ignored(
    full_engine: Engine, outcomes: SimpleQueue[Outcome]
) -> None:
    engine = full_engine
    for name in ("nobody", "waiting", "running", "beside"):
        engine.cancel(name)
    names = ("running", "beside", "waiting")
    assert take(outcomes, 3) == {name: Cancelled(request_id=name) for name in names}
    engine.cancel("running")  # over already
    assert [slot.rows for slot in engine.residency().slots] == [0]


async def test_a_row_is_withdrawn_only_before_it_starts__d4(
    full_engine: Engine, outcomes: SimpleQueue[Outcome]
) -> None:
    engine = full_engine
    for name in ("nobody", "running", "waiting"):
        engine.withdraw(name)
    assert take(outcomes, 1) == {"waiting": withdrawn("waiting")}
    assert engine.residency().rows_running == ROWS
    for name in ("running", "beside"):
        engine.cancel(name)
    assert take(outcomes, 2) == {name: Cancelled(request_id=name) for name in ("running", "beside")}


def test_a_deadline_ends_a_request_before_it_starts_and_while_it_runs(start_engine: MakeEngine) -> None:
    now = time.time()
    past, soon = ask_long("past", deadline=now - 1), ask_long("soon", deadline=now + 0.2)
    found = run(start_engine(slow=True), past, soon)
    assert found == {name: DeadlinePassed(request_id=name) for name in ("past", "soon")}


def test_slots_and_rows_show_before_the_first_request(make_engine: MakeEngine) -> None:
    """A dispatcher sends no adapter to a worker that shows no slot."""
    residency = make_engine().residency()
    assert (residency.slot_count, residency.rows_max, residency.slots) == (SLOTS, ROWS, ())


async def test_prefetch_brings_an_adapter_to_host_memory(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    engine = start_engine()
    adapter = next(iter(tiny_adapters))
    engine.prefetch("sha256:0")  # only the log hears of it
    engine.prefetch(adapter)
    await wait_until(lambda: adapter in engine.residency().host)
    outcome = run(engine, ask("a", adapter=adapter))["a"]
    assert isinstance(outcome, Succeeded)
    assert outcome.tier is Tier.HOST


def test_requests_may_come_from_several_threads(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path], outcomes: SimpleQueue[Outcome]
) -> None:
    engine = start_engine()
    adapters = [None, *tiny_adapters]

    def submit(thread: int) -> None:
        for number, adapter in enumerate(adapters):
            engine.submit(ask(f"{thread}-{number}", adapter=adapter), outcomes.put)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = take(outcomes, len(threads) * len(adapters))
    assert all(isinstance(outcome, Succeeded) for outcome in found.values())


def test_it_lives_from_start_to_stop_and_stop_may_come_again(
    make_engine: MakeEngine, outcomes: SimpleQueue[Outcome]
) -> None:
    engine = make_engine(slow=True)
    assert not engine.alive()
    engine.start()
    assert engine.alive()
    engine.submit(ask_long("unfinished"), outcomes.put)
    for _ in range(2):
        engine.stop()
        assert not engine.alive()
    assert outcomes.empty()  # what had not ended gets no outcome


async def test_its_threads_rest_when_nothing_is_to_be_done(
    start_engine: MakeEngine,
    outcomes: SimpleQueue[Outcome],
    tiny_adapters: dict[str, Path],
    wait_until: WaitUntil,
) -> None:
    """A watchdog would take one that does not for hung."""
    engine = start_engine()
    for adapter in (None, *tiny_adapters):
        engine.submit(ask(str(adapter), adapter=adapter), outcomes.put)
    take(outcomes, 1 + len(tiny_adapters))
    assert engine.pulses
    await wait_until(lambda: all(pulse.in_hand(0.0) is None for pulse in engine.pulses))
    assert any(pulse.longest_seconds > 0 for pulse in engine.pulses)


def test_chunks_come_in_order_before_the_outcome_and_add_up_to_its_text__c12(
    start_engine: MakeEngine, tiny_adapters: dict[str, Path]
) -> None:
    engine = start_engine()
    seen: dict[str, list[TokenChunk | Outcome]] = {name: [] for name in ("0", "1", "2")}
    over = SimpleQueue[str]()
    keys = [None, *tiny_adapters]
    for number, name in enumerate(seen):

        def end(outcome: Outcome, name: str = name) -> None:
            seen[name].append(outcome)
            over.put(name)

        engine.submit(ask(name, adapter=keys[number]), end, seen[name].append)
    for _ in seen:
        over.get(timeout=OUTCOME_SECONDS)
    for name, told in seen.items():
        *chunks, outcome = told
        assert isinstance(outcome, Succeeded)
        assert [(c.request_id, c.index) for c in chunks if isinstance(c, TokenChunk)] == [
            (name, i) for i in range(len(chunks))
        ]
        assert "".join(c.text for c in chunks if isinstance(c, TokenChunk)) == outcome.text
        assert sum(len(c.token_ids) for c in chunks if isinstance(c, TokenChunk)) == outcome.completion_tokens


FAULTS = [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
"""What a caller's code may raise: all but the first are no `Exception`."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_callback_that_raises_costs_no_outcome__c12(
    start_engine: MakeEngine, outcomes: SimpleQueue[Outcome], fault: type[BaseException]
) -> None:
    engine = start_engine()
    calls: list[TokenChunk] = []

    def raising(chunk: TokenChunk) -> None:
        calls.append(chunk)
        raise fault("the caller's fault")

    engine.submit(ask("a"), outcomes.put, raising)
    engine.submit(ask("b"), outcomes.put)
    assert all(isinstance(outcome, Succeeded) for outcome in take(outcomes, 2).values())
    assert len(calls) == 1
    assert engine.alive()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("adapter", [None, "unknown"], ids=["answered", "refused"])
def test_a_sink_that_raises_costs_no_other_request_its_outcome__g3(
    start_engine: MakeEngine,
    outcomes: SimpleQueue[Outcome],
    fault: type[BaseException],
    adapter: str | None,
) -> None:
    engine = start_engine()
    called: SimpleQueue[Outcome] = SimpleQueue()

    def raising(outcome: Outcome) -> None:
        called.put(outcome)
        raise fault("the caller's fault")

    engine.submit(ask("a", adapter=adapter), raising)
    called.get(timeout=OUTCOME_SECONDS)
    engine.submit(ask("b"), outcomes.put)
    assert isinstance(take(outcomes, 1)["b"], Succeeded)
    assert engine.alive()


@pytest.mark.parametrize("adapter", [None, "unknown"], ids=["answered", "refused"])
async def test_a_sink_may_stop_the_engine__g3(
    start_engine: MakeEngine, wait_until: WaitUntil, adapter: str | None
) -> None:
    engine = start_engine()
    stopped: SimpleQueue[str] = SimpleQueue()

    def stopping(_: Outcome) -> None:
        engine.stop()
        stopped.put("returned")

    engine.submit(ask("a", adapter=adapter), stopping)
    assert stopped.get(timeout=OUTCOME_SECONDS) == "returned"
    await wait_until(lambda: not engine.alive())


def test_no_chunk_comes_once_a_request_is_cancelled__c12(
    start_engine: MakeEngine, outcomes: SimpleQueue[Outcome]
) -> None:
    engine = start_engine()
    calls: list[TokenChunk] = []

    def cancel(chunk: TokenChunk) -> None:
        calls.append(chunk)
        engine.cancel("a")

    engine.submit(ask_long("a"), outcomes.put, cancel)
    assert take(outcomes, 1) == {"a": Cancelled(request_id="a")}
    assert len(calls) == 1
