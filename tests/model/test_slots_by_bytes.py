"""Adapters of very different ranks share the device's columns, and none of them waits for ever (C2, B11)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.residents import Residents
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner, RunnerSize
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.slots import DeviceSlots
from lorayard_workers.tiny_model import make_tiny_adapter

RANKS = (8, 64, 4, 16, 8, 32, 16, 8)
COLUMN_BYTES = 37_376  # of the tiny model in fp32
COLUMNS = 80  # one rank-64 adapter and two pages


@pytest.fixture(scope="module")
def mixed_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Digest -> folder, in the order of RANKS."""
    root = tmp_path_factory.mktemp("mixed-ranks")
    folders = [
        make_tiny_adapter(root / str(seed), seed=100 + seed, rank=rank) for seed, rank in enumerate(RANKS)
    ]
    return {adapter_digest(read_adapter(folder)): folder for folder in folders}


def ask(request_id: str, adapter: str, tokens: int = 6) -> GenerationRequest:
    sampling = Sampling(max_new_tokens=tokens)
    return GenerationRequest(request_id=request_id, prompt="Hello", adapter=adapter, sampling=sampling)


def texts(outcomes: dict[str, Outcome]) -> dict[str, str]:
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes.values()), outcomes
    return {key: outcome.text for key, outcome in outcomes.items() if isinstance(outcome, Succeeded)}


def test_large_and_small_ranks_take_turns_within_the_budget__c2_b11(
    start_yard: Callable[..., Any], mixed_ranks: dict[str, Path]
) -> None:
    """Requests in every order; each row answers as it does with room for all."""
    crowded = start_yard(slots=8, max_rank=64, slot_bytes=COLUMNS * COLUMN_BYTES, ageing_seconds=0.0)
    roomy = start_yard(slots=8, max_rank=64, slot_bytes=512 * COLUMN_BYTES)
    for yard in (crowded, roomy):
        yard.adapters.update(mixed_ranks)
    random = Random(5)
    asks = [ask(str(i), random.choice(list(mixed_ranks)), 1 + i % 7) for i in range(60)]
    assert texts(crowded.run(*asks)) == texts(roomy.run(*asks))
    full, all_of_it = crowded.engine.residency(), roomy.engine.residency()
    assert full.columns_total == COLUMNS
    assert full.slot_bytes == COLUMNS * COLUMN_BYTES
    assert full.columns_used <= COLUMNS
    assert full.evictions > 0
    assert (all_of_it.columns_used, all_of_it.evictions) == (sum(RANKS) + 4, 0)


def test_a_budget_below_the_largest_rank_refuses_to_start__c2(start_yard: Callable[..., Any]) -> None:
    with pytest.raises(CapacityError, match=r"max_rank 64 .* slot_bytes is 1000000"):
        start_yard(max_rank=64, slot_bytes=1_000_000)


def test_pins_that_leave_no_room_refuse_to_start_with_the_numbers__c3(
    start_yard: Callable[..., Any], tiny_adapters: dict[str, Path]
) -> None:
    three = frozenset(list(tiny_adapters)[:3])  # of ranks 8, 4 and 16
    with pytest.raises(CapacityError, match=r"3 pinned adapters with 32 columns .* needs 48, but .* is 40"):
        start_yard(slots=8, slot_bytes=40 * COLUMN_BYTES, pinned=three)


@dataclass(slots=True)
class Traffic:
    """Rows against real slots, step by step: admission as the engine does it, without the model."""

    residents: Residents
    rows_max: int
    random: Random
    waiting: list[Row] = field(default_factory=list[Row])
    running: dict[Row, int] = field(default_factory=dict[Row, int])  # -> steps left
    started_at: dict[Row, int] = field(default_factory=dict[Row, int])
    step_number: int = 0
    _names: count[int] = field(default_factory=count)

    def add(self, digest: str, *, aged: bool) -> Row:
        """A row joins the line; an aged one has waited too long already."""
        row = Row(request=ask(str(next(self._names)), digest), sink=lambda _: None)
        row.submitted = time.perf_counter() - (3600.0 if aged else -3600.0)
        self.waiting.append(row)
        return row

    def step(self, longest: int) -> None:
        """End rows, start rows."""
        self.step_number += 1
        for row, left in list(self.running.items()):
            self.running[row] = left - 1
            if not left:
                del self.running[row]
                self.residents.release(row)
        self.residents.request_loads(self.waiting)
        self.residents.plan_drains(self.waiting)
        for row in list(self.waiting):
            if len(self.running) < self.rows_max and self.residents.may_start(row):
                self.residents.lease(row)
                self.waiting.remove(row)
                self.running[row] = self.random.randint(0, longest)
                self.started_at[row] = self.step_number
        self.residents.check(idle=not self.running)


class Hall:
    """The tiny model's columns and every adapter in host memory."""

    def __init__(self, model: Path, adapters: dict[str, Path]) -> None:
        base = load_base_model(model, precision=Precision.FP32)
        self.runner = ModelRunner(base, RunnerSize(columns=COLUMNS, rows=1, row_tokens=64))
        self.host = HostTier(budget_bytes=1 << 30)
        reader = AdapterReader(
            folders=adapters, layouts=self.runner.layouts, dtype=Precision.FP32.dtype, max_rank=64
        )
        for digest in adapters:
            self.host.put(reader.read(digest))

    def traffic(self, *, slots: int, seed: int, pinned: Iterable[str] = ()) -> Traffic:
        """A fresh one."""
        books = DeviceSlots(count=slots, max_rank=64, columns=COLUMNS, pinned=frozenset(pinned))
        residents = Residents(
            runner=self.runner,
            slots=books,
            host=self.host,
            ageing_seconds=0.0,
            request_load=_never,
            request_prefetch=_never,
        )
        return Traffic(residents=residents, rows_max=6, random=Random(seed))


def _never(digest: str) -> None:
    raise AssertionError(f"{digest} is in host memory")


@pytest.fixture(scope="module")
def hall(tiny_model: Path, mixed_ranks: dict[str, Path]) -> Hall:
    return Hall(tiny_model, mixed_ranks)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slots", [1, 2, 5, 8])
def test_random_traffic_with_pins_is_all_served__b9_b11(
    hall: Hall, mixed_ranks: dict[str, Path], slots: int, seed: int
) -> None:
    """Old and young rows of all ranks: the line empties, and what is pinned stays once it is in."""
    digests = list(mixed_ranks)
    pinned = digests[:1] if slots > 2 else []
    traffic = hall.traffic(slots=slots, seed=seed, pinned=pinned)
    rows = [
        traffic.add(traffic.random.choice(digests), aged=traffic.random.random() < 0.5) for _ in range(40)
    ]
    while len(traffic.started_at) < len(rows):
        before = len(traffic.started_at)
        traffic.step(longest=3)
        seen = set(pinned) & set(traffic.residents.slots.residents())
        assert traffic.step_number < 400
        traffic.step(longest=3)
        assert seen <= set(traffic.residents.slots.residents())
        assert len(traffic.started_at) > before or traffic.running


@pytest.mark.parametrize("slots", [1, 8])
def test_a_large_rank_among_busy_small_ones_starts_within_the_longest_row__b9_b11(
    hall: Hall, mixed_ranks: dict[str, Path], slots: int
) -> None:
    """Small adapters take every gap they can; past its age the large one gets all it needs."""
    small = [digest for digest, rank in zip(mixed_ranks, RANKS, strict=True) if rank <= 16]
    large = list(mixed_ranks)[1]
    traffic = hall.traffic(slots=slots, seed=1)

    def flood(turns: int) -> None:
        for _ in range(turns):
            while len(traffic.waiting) < 12:
                traffic.add(traffic.random.choice(small), aged=False)
            traffic.step(longest=5)

    flood(20)
    row = traffic.add(large, aged=True)
    traffic.waiting.insert(0, traffic.waiting.pop())
    flood(40)
    assert traffic.started_at[row] <= 20 + 2 + 5


def test_one_slot_and_two_adapters_that_flood_it_take_turns__b9(
    hall: Hall, mixed_ranks: dict[str, Path]
) -> None:
    """A,B,A,A,...: each B starts after at most the rows that A had begun."""
    busy, other, *_ = mixed_ranks
    traffic = hall.traffic(slots=1, seed=2)
    wanted: list[tuple[Row, int]] = []
    for turn in range(120):
        while len(traffic.waiting) < 8:
            traffic.add(busy, aged=False)
        if turn % 20 == 10:
            wanted.append((traffic.add(other, aged=True), turn))
        traffic.step(longest=4)
    assert all(traffic.started_at[row] - turn <= 4 + 2 for row, turn in wanted)
