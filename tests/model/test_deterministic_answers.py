"""Deterministic mode with the screened head: tokens and log-probabilities in any company (C6)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.int8_kernel import int8_is_exact
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.screened_head import ScreenedHead

pytestmark = pytest.mark.skipif(not int8_is_exact(), reason="this CPU has no exact 8-bit dot products")

KINDS = [
    Sampling(),
    Sampling(logprobs=3),
    Sampling(temperature=1.3, seed=11, top_p=0.9),
    Sampling(temperature=0.8, seed=4, logprobs=1),
    Sampling(repetition_penalty=1.3, logprobs=2),
]


@pytest.fixture
def screened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The screened head also for the tiny model, however long it takes; how many rows it was asked for."""
    monkeypatch.setattr("lorayard_workers.engine.screened_head.MIN_WEIGHTS", 1)
    monkeypatch.setattr("lorayard_workers.engine.screened_head._GAIN", 0.0)
    asked: list[int] = []
    likeliest = ScreenedHead.likeliest

    def note(self: ScreenedHead, rows: object) -> list[int | None]:
        found = likeliest(self, rows)  # type: ignore[arg-type]  # whatever it is, it is passed on
        asked.append(len(found))
        return found

    monkeypatch.setattr(ScreenedHead, "likeliest", note)
    return asked


@pytest.fixture
def engine(tiny_model: Path, tiny_adapters: dict[str, Path], screened: list[int]) -> Iterator[PackedEngine]:
    config = EngineConfig(
        device="cpu",
        deterministic=True,
        precision=Precision.BF16,
        slots=4,
        max_rank=16,
        rows=6,
        context_tokens=256,
        prefix_reuse=False,
    )
    engine = PackedEngine(tiny_model, tiny_adapters, config)
    engine.start()
    yield engine
    engine.stop()
    engine.check()


def answers(engine: PackedEngine, requests: Sequence[GenerationRequest]) -> dict[str, object]:
    """Text, lengths and log-probabilities to the last bit, by request."""
    ended: SimpleQueue[Outcome] = SimpleQueue()
    for request in requests:
        engine.submit(request, ended.put)
    found: dict[str, object] = {}
    for outcome in (ended.get(timeout=60) for _ in requests):
        assert isinstance(outcome, Succeeded), outcome
        found[outcome.request_id] = (outcome.text, outcome.completion_tokens, outcome.logprobs)
    return found


def test_every_kind_of_row_answers_the_same_alone_and_in_any_company_bleed__c6(
    engine: PackedEngine, tiny_adapters: dict[str, Path], screened: list[int]
) -> None:
    """Prompts from a few tokens to several blocks; companies of greedy rows, of sampled ones and of both."""
    draw = random.Random(8)
    keys = [None, *tiny_adapters]
    requests = [
        GenerationRequest(
            request_id=str(i),
            prompt="".join(draw.choices("abcdefgh ", k=draw.choice([1, 9, 15, 16, 17, 33, 63, 64, 65, 90]))),
            adapter=draw.choice(keys),
            sampling=replace(KINDS[i % len(KINDS)], max_new_tokens=draw.choice([2, 9, 14]), ignore_eos=True),
        )
        for i in range(20)
    ]
    alone: dict[str, object] = {}
    for request in requests:
        alone |= answers(engine, [request])
    assert answers(engine, requests) == alone
    assert answers(engine, draw.sample(requests, len(requests))) == alone
    greedy = [request for request in requests if request.sampling.temperature == 0.0]
    others = [request for request in requests if request.sampling.temperature > 0.0]
    together = answers(engine, greedy) | answers(engine, others)
    assert together == alone
    assert max(screened) > 1  # rows were screened, some of them together
