"""The contract of `Engine`, kept by every engine: what a worker's service relies on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.protocol import (
    Cancelled,
    Composition,
    DeadlinePassed,
    Engine,
    Failed,
    FailureKind,
    GenerationRequest,
    Outcome,
    Sampling,
    Succeeded,
    Tier,
    TokenChunk,
    WeightedAdapter,
)
from lorayard_workers.errors import CapacityError

SLOTS = ROWS = 2
OUTCOME_SECONDS = 30.0
LONG_TOKENS = 2000
"""Seconds of work for the tiny model: long enough to be cut short."""

WaitUntil = Callable[..., Awaitable[None]]
MakeEngine = Callable[..., Engine]


def ask(request_id: str, **changes: Any) -> GenerationRequest:
    settings: dict[str, Any] = {"prompt": "hello", "sampling": Sampling(max_new_tokens=4)} | changes
    return GenerationRequest(request_id=request_id, **settings)


def ask_long(request_id: str, **changes: Any) -> GenerationRequest:
    return ask(request_id, sampling=Sampling(max_new_tokens=LONG_TOKENS), **changes)


def compose(*digests: str, **settings: Any) -> Composition:
    return Composition(parts=tuple(WeightedAdapter(digest=digest) for digest in digests), **settings)


def _no_eos(*_: object) -> frozenset[int]:
    """So that long requests stay long."""
    return frozenset()


@pytest.fixture(params=["echo", "packed"])
def make_engine(
    request: pytest.FixtureRequest,
    tiny_model: Path,
    tiny_adapters: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeEngine]:
    """Engines that are not started; `slow` ones answer nothing while a test looks."""
    made: list[Engine] = []

    def make(*, slow: bool = False) -> Engine:
        engine: Engine
        if request.param == "echo":
            delay = 3600.0 if slow else 0.001
            engine = EchoEngine(slots=SLOTS, rows=ROWS, delay_seconds=delay, known=tiny_adapters)
        else:
            monkeypatch.setattr("lorayard_workers.base_model._eos_ids", _no_eos)
            config = EngineConfig(slots=SLOTS, rows=ROWS, precision=Precision.FP32, device="cpu", threads=1)
            engine = PackedEngine(tiny_model, tiny_adapters, config)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop()


@pytest.fixture
def start_engine(make_engine: MakeEngine) -> MakeEngine:
    def start(**given: Any) -> Engine:
        engine = make_engine(**given)
        engine.start()
        return engine

    return start


@pytest.fixture
def outcomes() -> SimpleQueue[Outcome]:
    return SimpleQueue()


def take(outcomes: SimpleQueue[Outcome], count: int) -> dict[str, Outcome]:
    """Exactly so many, by request id: none missing, none twice."""
    found = [outcomes.get(timeout=OUTCOME_SECONDS) for _ in range(count)]
    assert outcomes.empty()
    by_id = {outcome.request_id: outcome for outcome in found}
    assert len(by_id) == count
    return by_id


def run(engine: Engine, *requests: GenerationRequest) -> dict[str, Outcome]:
    """Submit all at once; outcomes by request id."""
    outcomes = SimpleQueue[Outcome]()
    for request in requests:
        engine.submit(request, outcomes.put)
    return take(outcomes, len(requests))


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


async def test_rows_are_cancelled_waiting_and_running_and_unknown_ids_ignored(
    start_engine: MakeEngine,
    tiny_adapters: dict[str, Path],
    outcomes: SimpleQueue[Outcome],
    wait_until: WaitUntil,
) -> None:
    engine = start_engine(slow=True)
    adapter = next(iter(tiny_adapters))
    for name in ("running", "beside", "waiting"):
        engine.submit(ask_long(name, adapter=adapter), outcomes.put)
    await wait_until(lambda: (engine.residency().rows_running, engine.residency().queued) == (ROWS, 1))
    for name in ("nobody", "waiting", "running", "beside"):
        engine.cancel(name)
    names = ("running", "beside", "waiting")
    assert take(outcomes, 3) == {name: Cancelled(request_id=name) for name in names}
    engine.cancel("running")  # over already
    assert [slot.rows for slot in engine.residency().slots] == [0]


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


def test_a_token_callback_that_raises_costs_no_outcome__c12(
    start_engine: MakeEngine, outcomes: SimpleQueue[Outcome]
) -> None:
    engine = start_engine()
    calls: list[TokenChunk] = []

    def raising(chunk: TokenChunk) -> None:
        calls.append(chunk)
        raise ValueError("the caller's fault")

    engine.submit(ask("a"), outcomes.put, raising)
    engine.submit(ask("b"), outcomes.put)
    assert all(isinstance(outcome, Succeeded) for outcome in take(outcomes, 2).values())
    assert len(calls) == 1


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
