"""The engine as a worker runs it: its own threads, requests through `submit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from lorayard_cli.bench.engine_report.costs import Cost, process_cost_of
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.traffic import Ask, Traffic
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling

OUTCOME_SECONDS = 300.0
"""Only a hang waits this long."""


class ServingSide:
    """A running engine; ends its threads and checks its books when left."""

    def __init__(self, model: Path, adapters: Sequence[Path], config: EngineConfig) -> None:
        """`adapters` are known by their position."""
        folders: dict[str, Path] = {adapter_digest(read_adapter(folder)): folder for folder in adapters}
        self._digests = list(folders)
        self.engine = PackedEngine(model, folders, config)

    def __enter__(self) -> Self:
        self.engine.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.stop()
        if kind is None:
            self.engine.check()

    @property
    def tokenizer(self) -> Any:
        """transformers' own, for prompts of known lengths."""
        return self.engine.tokenizer

    @property
    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """What adapters must fit."""
        return self.engine.linear_shapes

    @property
    def digests(self) -> Sequence[str]:
        """Of the adapters, in their order."""
        return self._digests

    def run(self, traffic: Traffic, *, first_adapter: int | None = 0) -> Cost:
        """All requests, from the first submit to the last outcome; None: on the base model."""
        found: list[Outcome] = []

        def work() -> None:
            found.extend(self.answer(traffic.asks, first_adapter))

        cost = process_cost_of(work)
        made = sum(outcome.completion_tokens for outcome in found if isinstance(outcome, Succeeded))
        if made != traffic.new_tokens:
            broken = [outcome for outcome in found if not isinstance(outcome, Succeeded)]
            raise SideFaultError(f"engine: {made} tokens of {traffic.new_tokens}; {broken[:3]}")
        return cost

    def answer(self, asks: Sequence[Ask], first_adapter: int | None = 0) -> list[Outcome]:
        """Outcomes as they end."""
        ended: SimpleQueue[Outcome] = SimpleQueue()
        for number, ask in enumerate(asks):
            digest = None if first_adapter is None else self._digests[first_adapter + ask.adapter]
            self.engine.submit(request_of(ask, str(number), digest), ended.put)
        return [ended.get(timeout=OUTCOME_SECONDS) for _ in asks]


def request_of(ask: Ask, name: str, digest: str | None) -> GenerationRequest:
    """Greedy, and of a fixed length."""
    sampling = Sampling(max_new_tokens=ask.new_tokens, ignore_eos=True)
    return GenerationRequest(request_id=name, prompt=ask.prompt, adapter=digest, sampling=sampling)
