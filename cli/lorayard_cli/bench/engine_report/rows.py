"""From what was seen to judged rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorayard_cli.bench.engine_report.costs import Times
from lorayard_cli.bench.engine_report.goals import (
    BLEED_GOAL,
    BLEED_ROWS,
    MEMORY_GOAL,
    TIMED_GOALS,
    Goal,
    Sense,
)
from lorayard_cli.bench.figures import Spread, spread
from lorayard_cli.exit_codes import ExitCode


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a run of the bench brought."""

    times: Times
    memory: SlotMemory
    bleed: Bleed


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A goal and what it met. `value` is judged: by CPU time where it was timed, as the machine is shared."""

    goal: Goal
    value: Spread
    wall: Spread | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the must is reached; None where none is set."""
        return self._reaches(self.goal.must)

    @property
    def reaches_stretch(self) -> bool | None:
        """Whether the stretch is reached; None where none is set."""
        return self._reaches(self.goal.stretch)

    def _reaches(self, limit: float | None) -> bool | None:
        if limit is None:
            return None
        if self.goal.sense is Sense.AT_LEAST:
            return self.value.median >= limit
        return self.value.median <= limit


def judge(seen: Seen) -> tuple[Row, ...]:
    """Every row that has a figure, in the order of the table."""
    timed = [
        Row(
            goal=one.goal,
            value=seen.times.ratio_cpu(one.above, one.below),
            wall=seen.times.ratio_wall(one.above, one.below),
        )
        for one in TIMED_GOALS
    ]
    return (*timed, _memory_row(seen.memory), _bleed_row(seen.bleed))


def exit_code(rows: Sequence[Row]) -> ExitCode:
    """Failed when a must is missed."""
    return ExitCode.FAILED if any(row.holds is False for row in rows) else ExitCode.OK


def _memory_row(memory: SlotMemory) -> Row:
    occupied = memory.occupied_bytes / memory.adapter_bytes
    return Row(
        goal=MEMORY_GOAL,
        value=spread([memory.reserved_bytes / memory.adapter_bytes]),
        note=f"memory reserved for {memory.slots} slots of rank {memory.max_rank}, all taken; "
        f"the columns in use alone are {occupied:.2f}",
    )


def _bleed_row(bleed: Bleed) -> Row:
    short = "" if bleed.rows >= BLEED_ROWS else f", of the {BLEED_ROWS:,} that issue 3 asks for"
    return Row(
        goal=BLEED_GOAL,
        value=spread([bleed.differ]),
        note=f"{bleed.rows:,} rows compared{short}; {bleed.evictions:,} evictions, "
        f"{bleed.disk_loads:,} loads from disk meanwhile",
    )
