"""Figures that are not a ratio of two timed kinds of work, and the facts that they come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from lorayard_cli.bench.engine_report.goals import BLEED_ROWS
from lorayard_cli.bench.figures import Spread, spread

_PARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one goal met; `facts` are for readers of the document."""

    value: Spread
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    whole: bool = True
    """False: of less work than the table asks for, so a must that it reaches holds so far only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMemory:
    """Device memory for adapters while a random mix of ranks 8, 16 and 64 comes and goes."""

    slots: int
    max_rank: int
    adapters: int
    reserved_bytes: int
    """Allocated at start: nothing else can have it."""
    evictions: int
    ratios: tuple[float, ...]
    """Reserved bytes ÷ the residents' own weights, one moment after the other, the pool being full."""

    @property
    def figure(self) -> Figure:
        """Means over parts of the run: the mix of one moment says little."""
        size = max(1, len(self.ratios) // _PARTS)
        parts = [self.ratios[at : at + size] for at in range(0, size * _PARTS, size)]
        means = [fmean(part) for part in parts if part]
        return Figure(
            value=spread(means),
            note=f"{self.adapters} adapters in random order on {self.slots} slots for ranks up to "
            f"{self.max_rank}; means over {len(means)} parts of {len(self.ratios)} moments, "
            f"{self.evictions:,} evictions; {min(self.ratios):.2f} to {max(self.ratios):.2f} at moments",
            facts={
                "reserved_bytes": self.reserved_bytes,
                "evictions": self.evictions,
                "moments": len(self.ratios),
                "best": round(min(self.ratios), 3),
                "worst": round(max(self.ratios), 3),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleed:
    """Rows in random company against the same requests alone, fp32."""

    rows: int
    differ: int
    cancelled: int
    """Ended on purpose, so not compared."""
    adapters: int
    slots: int
    evictions: int
    slot_loads: int
    disk_loads: int
    preemptions: int
    """Rows that gave their part of the cache back and were computed again."""
    sums: int
    """Compared rows of a sum of adapters."""
    sampled: int
    """Compared rows that were sampled with a seed, not greedy."""
    examples: tuple[str, ...] = ()
    """Of rows that differ."""

    @property
    def figure(self) -> Figure:
        """How many differ."""
        short = "" if self.rows >= BLEED_ROWS else f", of the {BLEED_ROWS:,} that the table asks for"
        return Figure(
            value=spread([self.differ]),
            note=f"{self.rows:,} rows compared{short}, {self.sums:,} of sums of adapters, {self.sampled:,} "
            f"sampled; {self.evictions:,} evictions, {self.disk_loads:,} loads from disk, "
            f"{self.preemptions:,} preemptions meanwhile",
            facts=asdict(self),
            whole=self.rows >= BLEED_ROWS,
        )
