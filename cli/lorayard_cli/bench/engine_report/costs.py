"""What was timed, by side and kind of step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from lorayard_cli.bench.figures import Spread, spread


class Timed(StrEnum):
    """One kind of work of one side; a step takes 16 rows unless it says otherwise."""

    BASE_PREFILL = "base_prefill"
    """Stock transformers forward over every prompt, no LoRA anywhere."""
    BASE_DECODE = "base_decode"
    """Stock transformers forward, one token for each row."""
    MIXED8_PREFILL = "mixed8_prefill"
    """The engine's step that admits 16 rows of 8 adapters and takes in their prompts."""
    MIXED8_DECODE = "mixed8_decode"
    """The engine's whole step: books, plan, forward, choice of tokens."""
    MIXED16_PREFILL = "mixed16_prefill"
    """The same with 16 adapters."""
    MIXED16_DECODE = "mixed16_decode"
    """The same with 16 adapters."""
    UNUSED_PREFILL = "unused_prefill"
    """The engine with 16 adapters in its slots, all rows for the base model."""
    UNUSED_DECODE = "unused_decode"
    """The same, decoding."""
    PEFT8_DECODE = "peft8_decode"
    """PEFT with `adapter_names` of 8 adapters."""
    PEFT16_DECODE = "peft16_decode"
    """PEFT with `adapter_names` of 16 adapters."""
    SEQUENTIAL8_DECODE = "sequential8_decode"
    """PEFT: for each of 8 adapters `set_adapter`, then its two rows."""
    SEQUENTIAL16_DECODE = "sequential16_decode"
    """PEFT: for each of 16 adapters `set_adapter`, then its one row."""
    SWAP = "swap"
    """The engine: one adapter from host memory into a slot, books included."""
    PEFT_LOAD = "peft_load"
    """PEFT: `load_adapter` of one more beside 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one step, in milliseconds."""

    cpu_ms: float
    wall_ms: float


def cost_of(work: Callable[[], object], *, steps: int = 1) -> Cost:
    """Run `work` once, which takes so many steps, on this thread; torch must have no other."""
    wall, cpu = time.perf_counter(), time.thread_time()
    work()
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    return Cost(cpu_ms=cpu * 1000 / steps, wall_ms=wall * 1000 / steps)


@dataclass(slots=True)
class Times:
    """Costs by kind, round by round: equal positions are neighbouring moments."""

    costs: dict[Timed, list[Cost]] = field(default_factory=dict[Timed, list[Cost]])

    def add(self, kind: Timed, cost: Cost) -> None:
        """Keep the next round's."""
        self.costs.setdefault(kind, []).append(cost)

    def ratio_cpu(self, above: Timed, below: Timed) -> Spread:
        """Over the rounds, by CPU time of the thread."""
        return spread([a.cpu_ms / b.cpu_ms for a, b in self._pairs(above, below)])

    def ratio_wall(self, above: Timed, below: Timed) -> Spread:
        """Over the rounds, by the clock."""
        return spread([a.wall_ms / b.wall_ms for a, b in self._pairs(above, below)])

    def _pairs(self, above: Timed, below: Timed) -> list[tuple[Cost, Cost]]:
        return list(zip(self.costs[above], self.costs[below], strict=True))
