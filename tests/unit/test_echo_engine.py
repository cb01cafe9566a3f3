"""The engine without a model keeps the contract of `Engine`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.echo_slots import EchoSlots
from lorayard_workers.engine.outcome import (
    Cancelled,
    DeadlinePassed,
    Failed,
    FailureKind,
    Outcome,
    Succeeded,
    Tier,
)
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.request import GenerationRequest


def ask(request_id: str, **changes: Any) -> GenerationRequest:
    settings: dict[str, Any] = {"prompt": "hello"} | changes
    return GenerationRequest(request_id=request_id, **settings)


@pytest.fixture
def outcomes() -> SimpleQueue[Outcome]:
    return SimpleQueue()


@pytest.fixture
def slow() -> Iterator[EchoEngine]:
    engine = EchoEngine(slots=1, rows=2, delay_seconds=3600.0, known={"a", "b"})
    engine.start()
    yield engine
    engine.stop()
    assert not engine.alive()


def test_it_is_an_engine_and_echoes_at_once(outcomes: SimpleQueue[Outcome]) -> None:
    engine: Engine = EchoEngine()
    engine.submit(ask("1", adapter="a"), outcomes.put)
    outcome = outcomes.get_nowait()
    assert isinstance(outcome, Succeeded)
    assert (outcome.text, outcome.tier) == ("hello", Tier.DISK)


def test_tiers_follow_slots_and_host(outcomes: SimpleQueue[Outcome]) -> None:
    engine = EchoEngine(slots=2)
    for adapter in ("a", "a", "b", "c", "a", None):
        engine.submit(ask("1", adapter=adapter), outcomes.put)
    tiers = [outcome.tier for _ in range(6) if isinstance(outcome := outcomes.get_nowait(), Succeeded)]
    assert tiers == [Tier.DISK, Tier.SLOT, Tier.DISK, Tier.DISK, Tier.HOST, Tier.NONE]
    residency = engine.residency()
    assert (residency.slot_hits, residency.slot_loads, residency.evictions) == (1, 4, 2)


def test_a_row_that_waits_for_another_rows_load_is_no_slot_hit(outcomes: SimpleQueue[Outcome]) -> None:
    engine = EchoEngine(slots=1, rows=2, load_seconds=0.05)
    for request_id in ("1", "2"):
        engine.submit(ask(request_id, adapter="a"), outcomes.put)
    engine.start()
    tiers = [outcome.tier for _ in range(2) if isinstance(outcome := outcomes.get(timeout=10), Succeeded)]
    engine.stop()
    assert tiers == [Tier.DISK, Tier.DISK]
    assert (engine.residency().slot_hits, engine.residency().slot_loads) == (0, 1)


def test_what_is_prefetched_takes_its_time_and_saves_the_row_that_time__c4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("lorayard_workers.engine.echo.time.time", lambda: now)
    engine = EchoEngine(load_seconds=1.0, disk_seconds=10.0)
    assert (engine.residency().load_ms_host, engine.residency().load_ms_disk) == (0.0, 0.0)
    for adapter in ("a", "b"):
        engine.prefetch(adapter)
    now += 10.0
    residency = engine.residency()
    assert residency.host == {"a"}
    assert residency.loading == {"b"}
    assert residency.disk_loads == 1
    memory = EchoSlots(4, load_seconds=1.0, disk_seconds=10.0)
    memory.fetch("a", now)
    assert memory.lease("b", now) == (Tier.DISK, 11.0), "a row's load waits for no prefetch"
    assert memory.lease("a", now + 9.0) == (Tier.DISK, 2.0), "but for its own, which has a start"
    assert (memory.load_ms_host, memory.load_ms_disk, memory.disk_loads) == (1000.0, 10000.0, 2)
    memory.fetch("c", now)
    memory.arrive(now + 10.0)
    assert memory.lease("c", now + 10.0) == (Tier.HOST, 1.0)


def test_bad_requests_are_refused_naming_the_field(outcomes: SimpleQueue[Outcome]) -> None:
    engine = EchoEngine(known={"a"})
    engine.submit(ask("1", prompt=""), outcomes.put)
    engine.submit(ask("2", adapter="b"), outcomes.put)
    found = [outcomes.get_nowait(), outcomes.get_nowait()]
    fields = [(o.code, o.field) for o in found if isinstance(o, Failed)]
    assert fields == [("empty_prompt", "prompt"), ("unknown_adapter", "adapter")]


def test_delayed_rows_wait_for_rows_and_slots_and_can_be_cancelled(
    slow: EchoEngine, outcomes: SimpleQueue[Outcome]
) -> None:
    for request_id, adapter in (("1", "a"), ("2", "b"), ("3", "a"), ("4", None)):
        slow.submit(ask(request_id, adapter=adapter), outcomes.put)
    slow.cancel("2")
    assert outcomes.get(timeout=10) == Cancelled(request_id="2")  # b never got the one slot
    slow.cancel("1")
    assert outcomes.get(timeout=10) == Cancelled(request_id="1")


def test_a_deadline_ends_a_delayed_row(slow: EchoEngine, outcomes: SimpleQueue[Outcome]) -> None:
    slow.submit(ask("1", deadline=time.time() + 0.01), outcomes.put)
    assert outcomes.get(timeout=10) == DeadlinePassed(request_id="1")


def test_delayed_rows_end_and_free_their_slots(outcomes: SimpleQueue[Outcome]) -> None:
    engine = EchoEngine(slots=1, rows=4, delay_seconds=0.001, load_seconds=0.001)
    engine.start()
    for i in range(6):
        engine.submit(ask(str(i), adapter="ab"[i % 2]), outcomes.put)
    ended = [outcomes.get(timeout=10) for _ in range(6)]
    engine.stop()
    assert all(isinstance(outcome, Succeeded) for outcome in ended)
    assert [slot.rows for slot in engine.residency().slots] == [0]


def test_a_script_says_what_becomes_of_each_request(outcomes: SimpleQueue[Outcome]) -> None:
    failure = Failed(request_id="", kind=FailureKind.RETRYABLE, code="oom", message="too much")
    script = {
        "fails": Scripted(outcome=failure),
        "expires": Scripted(outcome=DeadlinePassed(request_id="")),
        "says": Scripted(text="something else"),
        "waits": Scripted(delay_seconds=math.inf),
        "late": Scripted(delay_seconds=0.01),
    }
    engine = EchoEngine(script=lambda request: script[request.request_id])
    engine.start()
    for name in script:
        engine.submit(ask(name), outcomes.put)
    engine.cancel("waits")
    found = {outcome.request_id: outcome for outcome in (outcomes.get(timeout=10) for _ in script)}
    engine.stop()
    assert found["fails"] == replace(failure, request_id="fails")
    assert found["expires"] == DeadlinePassed(request_id="expires")
    assert found["waits"] == Cancelled(request_id="waits")
    texts = {name: outcome.text for name, outcome in found.items() if isinstance(outcome, Succeeded)}
    assert texts == {"says": "something else", "late": "hello"}
