"""Rows, pins, preloads and unloads in any order: the books of the slots hold after every step (C3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.request import Composition, GenerationRequest, WeightedAdapter
from lorayard_workers.engine.residents import Residents
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner, RunnerSize
from lorayard_workers.memory.columns import columns_of
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.slots import DeviceSlots, Room
from lorayard_workers.tiny_model import make_tiny_adapter

RANKS = (8, 32, 4, 16, 8, 24)
COLUMNS = 56
SLOTS = 4
ROWS = 5

_adapters: list[HostAdapter] = []
_runner: list[ModelRunner] = []


@pytest.fixture(autouse=True)
def _parts(tiny_model: Path, tmp_path: Path) -> Iterator[None]:
    folders = [make_tiny_adapter(tmp_path / str(i), seed=i, rank=rank) for i, rank in enumerate(RANKS)]
    runner = ModelRunner(
        load_base_model(tiny_model, precision=Precision.FP32),
        RunnerSize(columns=COLUMNS, rows=2, row_tokens=64),
    )
    by_digest = {adapter_digest(read_adapter(folder)): folder for folder in folders}
    reader = AdapterReader(folders=by_digest, layouts=runner.layouts, dtype=Precision.FP32.dtype, max_rank=32)
    _runner.append(runner)
    _adapters.extend(reader.read(digest) for digest in by_digest)
    yield
    _runner.clear()
    _adapters.clear()


class ResidentsMachine(RuleBasedStateMachine):
    """What the engine thread does with residents, without the model's steps."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = DeviceSlots(count=SLOTS, max_rank=32, columns=COLUMNS)
        self.asked: list[str] = []  # of the loader
        self.residents = Residents(
            runner=_runner[0],
            slots=self.slots,
            host=HostTier(budget_bytes=3 * max(a.size_bytes for a in _adapters)),
            ageing_seconds=0.0,
            request_load=self.asked.append,
            request_prefetch=self.asked.append,
            loading=lambda: self.asked,
        )
        self.waiting: list[Row] = []
        self.running: list[Row] = []
        self.leaving: set[str] = set()  # nobody has wanted them since

    @rule(chosen=st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True), aged=st.booleans())
    def ask(self, chosen: list[int], aged: bool) -> None:  # hypothesis gives it by name
        """A row with one adapter or several joins the line."""
        parts = tuple(WeightedAdapter(digest=_adapters[i].digest, weight=1.0 + i) for i in chosen)
        row = Row(
            request=GenerationRequest(request_id="r", prompt="p", composition=Composition(parts=parts)),
            sink=lambda _: None,
        )
        row.submitted = time.perf_counter() + (-3600.0 if aged else 3600.0)
        if len(self.waiting) < 12:
            self.waiting.append(row)
            self.leaving.difference_update(row.parts)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A row leaves the line."""
        self.waiting.remove(data.draw(st.sampled_from(self.waiting)))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A row ends, in any order."""
        row = data.draw(st.sampled_from(self.running))
        self.running.remove(row)
        self.residents.release(row)

    @precondition(lambda self: self.asked)
    @rule()
    def load(self) -> None:
        """The loader brings what it was asked for first."""
        digest = self.asked.pop(0)
        adapter = next(one for one in _adapters if one.digest == digest)
        self.residents.host.put(adapter)
        self.residents.arrived(adapter, self.waiting)

    @rule(which=st.integers(0, 5))
    def pin(self, which: int) -> None:
        """An operator pins."""
        self.residents.pin(_adapters[which].digest)
        self.leaving.discard(_adapters[which].digest)

    @rule(which=st.integers(0, 5))
    def unpin(self, which: int) -> None:
        """And unpins."""
        self.residents.unpin(_adapters[which].digest)

    @rule(which=st.integers(0, 5))
    def preload(self, which: int) -> None:
        """A hint from the dispatcher."""
        self.residents.preload(_adapters[which].digest)
        self.leaving.discard(_adapters[which].digest)

    @rule(which=st.integers(0, 5))
    def prefetch(self, which: int) -> None:
        """Another one, for host memory only."""
        self.residents.fetch(_adapters[which].digest)
        self.leaving.discard(_adapters[which].digest)

    @rule(which=st.integers(0, 5))
    def unload(self, which: int) -> None:
        """A version is withdrawn."""
        self.residents.unload(_adapters[which].digest)
        self.leaving.add(_adapters[which].digest)

    @rule()
    def admit(self) -> None:
        """As in each step of the engine."""
        before = {d: slot.columns for d, slot in self.slots.residents().items() if slot.rows}
        pinned = self.slots.pinned & set(self.slots.residents())
        self.residents.request_loads(self.waiting)
        self.residents.plan_drains(self.waiting)
        for row in list(self.waiting):
            if self.residents.never_fits(row) is not None:
                self.waiting.remove(row)
            elif len(self.running) < ROWS and self.residents.may_start(row):
                self.residents.lease(row)
                self.waiting.remove(row)
                self.running.append(row)
        self.residents.settle(self.waiting)
        after = {d: slot.columns for d, slot in self.slots.residents().items()}
        assert before.items() <= after.items()  # nobody in use moved or left
        assert pinned & self.slots.pinned <= set(after)  # nor did anybody who is pinned

    @invariant()
    def books_agree(self) -> None:
        """Every row has its parts' columns, all of them, and no lease outlives its row."""
        self.residents.check(idle=not self.running)
        for row in self.running:
            assert row.columns is not None
            own = [self.slots.resident(part) or () for part in row.parts]
            assert set(columns_of(row.columns)) == {column for columns in own for column in columns}

    def teardown(self) -> None:
        """Whatever came before: once rows end, everybody in line is served or refused."""
        for _ in range(60):
            for row in list(self.running):
                self.running.remove(row)
                self.residents.release(row)
            self.admit()
            while self.asked:
                self.load()
        assert not self.waiting
        for row in self.running:
            self.residents.release(row)
        self.residents.check(idle=True)
        assert self.leaving.isdisjoint({*self.slots.residents(), *self.residents.host.digests()})
        pinned = self.slots.pinned
        assert pinned <= set(self.slots.residents())  # whoever is still pinned has got its slot
        held = Room.of(len(self.slots.resident(digest) or ()) for digest in pinned)
        assert (held + Room.of([32])).columns <= COLUMNS


def test_books_hold_under_any_order_of_rows_pins_preloads_and_unloads__c3_c7() -> None:
    run_state_machine_as_test(
        ResidentsMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
