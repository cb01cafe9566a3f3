"""Our engine, driven step by step on the measuring thread."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from lorayard_cli.bench.engine_report.costs import Cost, cost_of
from lorayard_cli.bench.engine_sides.device import settling
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.workload import (
    ADAPTERS,
    RANK,
    ROWS,
    adapter_of_row,
    prompts,
)
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import BaseModel, load_model
from lorayard_workers.engine.core import CoreLimits, EngineCore
from lorayard_workers.engine.outcome import Cancelled, Outcome
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.residents import Residents
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner, RunnerSize
from lorayard_workers.engine.sampling import TokenSampler
from lorayard_workers.engine.text import TextStream, TokenTexts
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.layout import linear_shapes
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.slots import DeviceSlots

_ROW_TOKENS = 256
"""Longer than any row here gets, and what the cache holds at first anyway."""


class PackedSide:
    """The core of `PackedEngine` without its threads: the same steps, timed where they run."""

    def __init__(self, folder: Path, device: str, *, prompt_tokens: int, decode_steps: int) -> None:
        self._decode_steps = decode_steps
        base = _without_tokenizer(folder, device)
        self._settle = settling(device)
        self._slots = DeviceSlots(count=ADAPTERS, max_rank=RANK)
        size = RunnerSize(
            columns=self._slots.column_count, rows=ROWS, row_tokens=_ROW_TOKENS, screened_head=True
        )
        self._runner = ModelRunner(base, size)
        self._core = EngineCore(
            runner=self._runner,
            residents=Residents(
                runner=self._runner,
                slots=self._slots,
                host=HostTier(budget_bytes=1),
                ageing_seconds=3600.0,
                request_load=self._missing,
                request_prefetch=self._missing,
            ),
            limits=CoreLimits(
                rows=ROWS,
                row_tokens=_ROW_TOKENS,
                prefill_tokens=ROWS * prompt_tokens,  # in one step, as the others do it
            ),
            on_end=self._ended,
        )
        self._prompts = prompts(int(base.model.config.vocab_size), prompt_tokens)
        self._adapters: list[HostAdapter] = []

    @property
    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """What adapters must fit."""
        return linear_shapes(self._runner.layouts)

    def load(self, folders: Sequence[Path]) -> None:
        """Read adapters into host memory and put each into a slot."""
        by_digest = {adapter_digest(read_adapter(folder)): folder for folder in folders}
        reader = AdapterReader(
            folders=by_digest, layouts=self._runner.layouts, dtype=torch.bfloat16, max_rank=RANK
        )
        self._adapters = [reader.read(digest) for digest in by_digest]
        for adapter in self._adapters:
            self._place(adapter)

    @property
    def screens(self) -> bool:
        """Whether the engine finds greedy rows' tokens through a copy of the head in bytes here."""
        return self._runner.screened is not None

    @contextmanager
    def all_logits(self) -> Generator[None]:
        """Within it every logit is computed, as the other sides do."""
        kept, self._runner.screened = self._runner.screened, None
        try:
            yield
        finally:
            self._runner.screened = kept

    def swap(self) -> Cost:
        """One adapter from host memory into a slot: the mean over all, so none lies in a CPU cache."""
        return cost_of(self._swap_all, steps=len(self._adapters), settle=self._settle)

    def prefill(self, adapters: int) -> Cost:
        """Admit 16 rows of so many adapters (0: the base model) and take in their prompts."""
        for number, ids in enumerate(self._prompts):
            digest = self._adapters[adapter_of_row(adapters)[number]].digest if adapters else None
            self._core.add(self._row(str(number), digest, ids))
        return self._timed_steps(1)

    def decode(self) -> Cost:
        """One whole step for the rows that run."""
        return self._timed_steps(self._decode_steps)

    def finish(self) -> None:
        """End the rows."""
        for row in self._core.running:
            row.cancelled = True
        self._core.step()
        self._core.check()

    def _timed_steps(self, steps: int) -> Cost:
        def work() -> None:
            for _ in range(steps):
                self._core.step()

        with torch.inference_mode():
            found = cost_of(work, steps=steps, settle=self._settle)
        if len(self._core.running) != ROWS:
            raise SideFaultError(f"{len(self._core.running)} rows run, not {ROWS}")
        return found

    def _swap_all(self) -> None:
        for adapter in self._adapters:
            self._slots.drop(adapter.digest)
            self._place(adapter)

    def _place(self, adapter: HostAdapter) -> None:
        columns = self._slots.place(adapter.digest, adapter.rank, time.time())
        assert columns is not None  # as many slots as adapters
        self._runner.write_adapter(columns, adapter)

    def _row(self, name: str, digest: str | None, ids: list[int]) -> Row:
        sampling = Sampling(max_new_tokens=_ROW_TOKENS)
        request = GenerationRequest(request_id=name, prompt="tokens", adapter=digest, sampling=sampling)
        row = Row(request=request, sink=_unheard)
        row.prompt_ids = ids  # and no `end_ids`: no row may end before the others
        row.sampler, row.text = TokenSampler(sampling), TextStream(TokenTexts(None))
        return row

    def _missing(self, digest: str) -> None:
        raise SideFaultError(f"{digest} left its slot")

    def _ended(self, row: Row, outcome: Outcome) -> None:
        if not isinstance(outcome, Cancelled):
            raise SideFaultError(f"row {row.request.request_id}: {outcome}")


def _without_tokenizer(folder: Path, device: str) -> BaseModel:
    """For rows that are given as tokens and have no text: a large tokenizer takes seconds to load."""
    model = load_model(folder, torch.bfloat16).to(device)
    return BaseModel(
        folder=folder,
        model=model,
        tokenizer=None,
        digest="sha256:unread",
        context_tokens=int(model.config.max_position_embeddings),
        eos_ids=frozenset(),
    )


def _unheard(_outcome: Outcome) -> None:
    """The core tells `on_end`; sinks belong to the threads around it."""
