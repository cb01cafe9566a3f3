"""What a run of the bench has so far."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Times
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.rows import Seen
from lorayard_cli.bench.engine_sides.model import BenchModel, make_adapter
from lorayard_cli.bench.engine_sides.pace import Pace
from lorayard_cli.bench.engine_sides.plan import BenchPlan
from lorayard_cli.bench.engine_sides.workload import ADAPTERS, RANK


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds of a part of a run: of this process on all cores, and by the clock."""

    cpu: float
    wall: float


@dataclass(slots=True, kw_only=True)
class Book:
    """Filled as the run goes."""

    plan: BenchPlan
    pace: Pace
    model: BenchModel
    scratch: Path
    times: Times = field(default_factory=Times)
    figures: dict[str, Figure] = field(default_factory=dict[str, Figure])
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why goals are not measured, by their key."""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    seconds: dict[str, Took] = field(default_factory=dict[str, Took])
    """By phase of the run; children are told apart."""

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """What is done within counts for this phase."""
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.seconds[name] = Took(cpu=time.process_time() - cpu, wall=time.monotonic() - wall)

    @property
    def seen(self) -> Seen:
        """For the judge."""
        return Seen(times=self.times, figures=self.figures, reasons=self.reasons, clock=self.plan.clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchAdapters:
    """Random adapter folders that fit the model."""

    small: list[Path]
    """Of the decode-heavy traffic."""
    large: list[Path]
    """Of the steps and of the prefill-heavy traffic."""
    cold: list[Path]
    """Of the large rank, for nothing but to be read from disk once."""

    @staticmethod
    def below(root: Path, *, cold: int) -> BenchAdapters:
        """Where they will be; vLLM can begin to load before they are there."""
        return BenchAdapters(
            small=[root / "small" / str(seed) for seed in range(SMALL_ADAPTERS)],
            large=[root / "large" / str(seed) for seed in range(ADAPTERS)],
            cold=[root / "cold" / str(seed) for seed in range(ADAPTERS, ADAPTERS + cold)],
        )

    def make(self, shapes: Mapping[str, tuple[int, int]]) -> None:
        """Write them. `shapes` are those of the model's linears."""
        for folder in self.small:
            make_adapter(folder, shapes, rank=SMALL_RANK)
        for folder in (*self.large, *self.cold):
            make_adapter(folder, shapes, rank=RANK)


SMALL_RANK, SMALL_ADAPTERS = 8, 8
