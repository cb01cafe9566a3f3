"""Twice as many hot adapters as slots: how much longer a request waits for its first token."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from random import Random

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.many_adapters import (
    CONTEXT_TOKENS,
    HOST_BYTES,
    MAX_RANK,
    ask_of,
    fill_host,
    make_many,
)
from lorayard_cli.bench.engine_sides.model import BenchModel
from lorayard_cli.bench.engine_sides.modes import without_prefix_reuse
from lorayard_cli.bench.engine_sides.serving import OUTCOME_SECONDS, ServingSide, request_of
from lorayard_cli.bench.engine_sides.traffic import Ask
from lorayard_cli.bench.figures import Spread, percentile, spread
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Outcome, Succeeded

HOT = 16
SLOTS = 8
ROWS = 16
LOAD = 0.6
"""Of capacity, measured anew in each round: queues form now and then, but do not grow."""


@dataclass(slots=True)
class _Waits:
    """Times to the first token in milliseconds, round by round."""

    per_second: list[float] = field(default_factory=list[float])
    resident: list[list[float]] = field(default_factory=list[list[float]])
    swapped: list[list[float]] = field(default_factory=list[list[float]])

    def figure(self, model: str) -> Figure:
        """The ratio of the medians is judged, that of the slow ones told."""
        slow = self._ratio(0.95)
        return Figure(
            value=self._ratio(0.5),
            note=f"{model}, {len(self.swapped[0])} requests a round, Poisson arrivals at about "
            f"{self.per_second[-1]:.1f} per second ({LOAD:.0%} of measured capacity); "
            f"ratio of the 95th percentiles {slow.median:.2f}",
            facts={
                "per_second": [round(rate, 2) for rate in self.per_second],
                "p50_ms_resident": [round(percentile(found, 0.5), 2) for found in self.resident],
                "p50_ms_swapped": [round(percentile(found, 0.5), 2) for found in self.swapped],
                "p95_ratio": round(slow.median, 3),
            },
        )

    def _ratio(self, share: float) -> Spread:
        pairs = zip(self.swapped, self.resident, strict=True)
        return spread([percentile(a, share) / percentile(b, share) for a, b in pairs])


def measure_first_tokens(model: BenchModel, scratch: Path, *, requests: int, rounds: Iterable[int]) -> Figure:
    """The same arrivals for 16 adapters on 16 slots and on 8, in turn; all adapters in host memory."""
    folders = make_many(model.folder, scratch, HOT)
    waits = _Waits()
    with _side(model.folder, folders, HOT) as roomy, _side(model.folder, folders, SLOTS) as tight:
        for side in (roomy, tight):
            fill_host(side)
            side.answer([ask.hint() for ask in _asks(side, HOT, seed=-1)])
        for number in rounds:
            per_second = LOAD * _capacity(roomy, requests)
            waits.per_second.append(per_second)
            asks = _asks(roomy, requests, seed=number)
            waits.resident.append(_first_tokens_ms(roomy, asks, per_second, seed=number))
            waits.swapped.append(_first_tokens_ms(tight, asks, per_second, seed=number))
    return waits.figure(model.name)


def _side(model: Path, folders: Sequence[Path], slots: int) -> ServingSide:
    config = EngineConfig(
        slots=slots,
        max_rank=MAX_RANK,
        rows=ROWS,
        context_tokens=CONTEXT_TOKENS,
        host_bytes=HOST_BYTES,
        device="cpu",
        json_schemas=False,
    )
    return ServingSide(model, folders, without_prefix_reuse(config))


def _asks(side: ServingSide, requests: int, *, seed: int) -> list[Ask]:
    """Every adapter as often as any other."""
    random = Random(seed)
    return [ask_of(side, random.randrange(HOT), number) for number in range(requests)]


def _capacity(side: ServingSide, requests: int) -> float:
    """Requests per second when all are there at once."""
    asks = _asks(side, requests, seed=0)
    started = time.perf_counter()
    side.answer(asks)
    return requests / (time.perf_counter() - started)


def _first_tokens_ms(side: ServingSide, asks: Sequence[Ask], per_second: float, *, seed: int) -> list[float]:
    """Submit at random moments; how long each waited for its first token."""
    random = Random(seed)
    ended: SimpleQueue[Outcome] = SimpleQueue()
    due = time.perf_counter()
    for number, ask in enumerate(asks):
        due += random.expovariate(per_second)
        time.sleep(max(0.0, due - time.perf_counter()))
        side.engine.submit(request_of(ask, str(number), side.digests[ask.adapter]), ended.put)
    outcomes = [ended.get(timeout=OUTCOME_SECONDS) for _ in asks]
    broken = [outcome for outcome in outcomes if not isinstance(outcome, Succeeded)]
    if broken:
        raise SideFaultError(f"engine: {broken[:3]}")
    return [outcome.timings.first_token_ms for outcome in outcomes if isinstance(outcome, Succeeded)]
