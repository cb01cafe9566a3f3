"""Figures that are not a ratio of two timed kinds of work, and the facts that they come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lorayard_cli.bench.engine_report.goals import BLEED_ROWS
from lorayard_cli.bench.figures import Spread, spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one goal met; `facts` are for readers of the document."""

    value: Spread
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMemory:
    """Device memory for adapters, all slots taken by ranks 8, 16 and 64 in turn."""

    slots: int
    max_rank: int
    reserved_bytes: int
    """Allocated at start: nothing else can have it."""
    occupied_bytes: int
    """Of columns that residents have, padding included."""
    adapter_bytes: int
    """The residents' own weights in the engine's precision."""

    @property
    def figure(self) -> Figure:
        """What is reserved counts, not what is in use."""
        occupied = self.occupied_bytes / self.adapter_bytes
        return Figure(
            value=spread([self.reserved_bytes / self.adapter_bytes]),
            note=f"memory reserved for {self.slots} slots of rank {self.max_rank}, all taken; "
            f"the columns in use alone are {occupied:.2f}",
            facts=asdict(self),
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
    examples: tuple[str, ...] = ()
    """Of rows that differ."""

    @property
    def figure(self) -> Figure:
        """How many differ."""
        short = "" if self.rows >= BLEED_ROWS else f", of the {BLEED_ROWS:,} that the table asks for"
        return Figure(
            value=spread([self.differ]),
            note=f"{self.rows:,} rows compared{short}; {self.evictions:,} evictions, "
            f"{self.disk_loads:,} loads from disk meanwhile",
            facts=asdict(self),
        )
