"""A tiny real model, adapters for it, and engines that are checked and stopped after each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from torch import Tensor

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Failed, FailureKind, Outcome, Succeeded, TokenChunk
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.protocol import OnTokens
from lorayard_workers.engine.request import ChatMessage, GenerationRequest, Sampling
from lorayard_workers.engine.runner import ModelRunner, Piece
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

OUTCOME_SECONDS = 30.0
"""Only a hang waits this long."""

ONE, TWO, SMALL, FEW = "one", "two", "small", "few"
"""Adapters that compositions are made of: two of one rank, one of a smaller, one on few linears."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.model)


@dataclass(slots=True)
class Outcomes:
    """A sink that tests can wait on."""

    queue: SimpleQueue[Outcome] = field(default_factory=SimpleQueue[Outcome])

    def __call__(self, outcome: Outcome) -> None:
        """Called by the engine."""
        self.queue.put(outcome)

    def next(self) -> Outcome:
        """Wait for one."""
        return self.queue.get(timeout=OUTCOME_SECONDS)

    def by_id(self, count: int) -> dict[str, Outcome]:
        """Wait for exactly so many, each with an id of its own."""
        found = [self.next() for _ in range(count)]
        assert self.queue.empty()
        by_id = {outcome.request_id: outcome for outcome in found}
        assert len(by_id) == count  # none twice
        return by_id


@dataclass(frozen=True, slots=True)
class Yard:
    """A running engine with a dictionary of adapters that tests may change."""

    engine: PackedEngine
    adapters: dict[str, Path]

    def run(
        self, *requests: GenerationRequest, on_tokens: Mapping[str, OnTokens] | None = None
    ) -> dict[str, Outcome]:
        """Submit all at once, some with callbacks; outcomes by request id."""
        outcomes = Outcomes()
        for request in requests:
            self.engine.submit(request, outcomes, (on_tokens or {}).get(request.request_id))
        return outcomes.by_id(len(requests))

    def stream(self, *requests: GenerationRequest) -> tuple[dict[str, Outcome], dict[str, list[TokenChunk]]]:
        """As `run`, and each request's chunks."""
        chunks: dict[str, list[TokenChunk]] = {request.request_id: [] for request in requests}
        outcomes = self.run(*requests, on_tokens={name: seen.append for name, seen in chunks.items()})
        return outcomes, chunks

    def add(self, folder: Path) -> str:
        """Register a sound adapter folder."""
        digest = adapter_digest(read_adapter(folder))
        self.adapters[digest] = folder
        return digest


def ask(
    request_id: str,
    *,
    prompt: str | tuple[ChatMessage, ...] = "Hello there",
    adapter: str | None = None,
    deadline: float | None = None,
    **sampling: Any,
) -> GenerationRequest:
    settings: dict[str, Any] = {"max_new_tokens": 8} | sampling
    return GenerationRequest(
        request_id=request_id,
        prompt=prompt,
        adapter=adapter,
        deadline=deadline,
        sampling=Sampling(**settings),
    )


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.text


def failure_of(outcome: Outcome) -> tuple[FailureKind, str, str | None]:
    assert isinstance(outcome, Failed), outcome
    return outcome.kind, outcome.code, outcome.field


StartYard = Callable[..., Yard]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # the machine is shared, and the model is tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Digest -> folder of eight adapters: different ranks, targets and scales."""
    root = tmp_path_factory.mktemp("adapters")
    settings: list[dict[str, Any]] = [
        {},
        {"rank": 4, "targets": ("q_proj", "v_proj")},
        {"rank": 16, "use_rslora": True},
        {"rank": 3, "targets": ("o_proj", "down_proj")},
        {"rank_pattern": {"q_proj": 2, "gate_proj": 12}, "alpha_pattern": {"v_proj": 4.0}},
        {"targets": ("up_proj",)},
        {"rank": 5},
        {"rank": 12, "alpha": 6.0},
    ]
    folders = [
        make_tiny_adapter(root / str(seed), seed=seed, **changes) for seed, changes in enumerate(settings)
    ]
    return {adapter_digest(read_adapter(folder)): folder for folder in folders}


@pytest.fixture
def start_yard(tiny_model: Path, tiny_adapters: dict[str, Path]) -> Iterator[StartYard]:
    """Starts engines over the tiny model in fp32; settings as for EngineConfig."""
    started: list[PackedEngine] = []

    def start(**settings: Any) -> Yard:
        adapters = dict(tiny_adapters)
        sizes: dict[str, Any] = {"slots": 8, "max_rank": 16, "rows": 8, "context_tokens": 256}
        config = EngineConfig(precision=Precision.FP32, device="cpu", **(sizes | settings))
        engine = PackedEngine(tiny_model, adapters, config)
        started.append(engine)
        engine.start()
        return Yard(engine, adapters)

    yield start
    for engine in started:
        engine.stop()
        engine.check()


@pytest.fixture(scope="session")
def part_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> folder of the parts of compositions."""
    root = tmp_path_factory.mktemp("parts")
    return {
        ONE: make_tiny_adapter(root / ONE, seed=1),
        TWO: make_tiny_adapter(root / TWO, seed=2, alpha=8.0, alpha_pattern={"up_proj": 24.0}),
        FEW: make_tiny_adapter(root / FEW, seed=3, targets=("q_proj", "down_proj")),
        SMALL: make_tiny_adapter(root / SMALL, seed=4, rank=4, use_rslora=True),
    }


@pytest.fixture(scope="session")
def part_digests(part_folders: dict[str, Path]) -> dict[str, str]:
    """Name -> digest of the same."""
    return {name: adapter_digest(read_adapter(folder)) for name, folder in part_folders.items()}


AfterSteps = Callable[[int, Callable[[], None]], None]


@pytest.fixture
def after_steps(monkeypatch: pytest.MonkeyPatch) -> AfterSteps:
    """Does something on the engine thread after so many steps: no race with the rows' own end."""
    forward = ModelRunner.forward

    def arrange(steps: int, action: Callable[[], None]) -> None:
        taken = itertools.count(1)

        def counted(self: ModelRunner, pieces: Sequence[Piece]) -> Tensor:
            logits = forward(self, pieces)
            if next(taken) == steps:
                action()
            return logits

        monkeypatch.setattr(ModelRunner, "forward", counted)

    return arrange
