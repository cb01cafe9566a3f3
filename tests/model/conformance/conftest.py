"""Engines of every kind, and what the conformance tests ask of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.outcome import Outcome
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.request import Composition, GenerationRequest, Sampling, WeightedAdapter

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
