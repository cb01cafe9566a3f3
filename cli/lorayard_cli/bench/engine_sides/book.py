"""What a run of the bench has so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Times
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.rows import Seen
from lorayard_cli.bench.engine_sides.model import BenchModel
from lorayard_cli.bench.engine_sides.pace import Pace
from lorayard_cli.bench.engine_sides.plan import BenchPlan


@dataclass(slots=True, kw_only=True)
class Book:
    """Filled as the run goes."""

    plan: BenchPlan
    pace: Pace
    model: BenchModel
    scratch: Path
    times: Times = field(default_factory=Times)
    figures: dict[str, Figure] = field(default_factory=dict[str, Figure])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    versions: dict[str, str] = field(default_factory=dict[str, str])

    def leave_out(self, keys: Iterable[str], reason: str) -> None:
        """Say why goals are not measured; a reason given before stays."""
        self.reasons = dict.fromkeys(keys, reason) | self.reasons

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


SMALL_RANK, SMALL_ADAPTERS = 8, 8
