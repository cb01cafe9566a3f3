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
    MIXED8_FULL_PREFILL = "mixed8_full_prefill"
    """MIXED8_PREFILL with all logits computed, as the other sides do."""
    MIXED8_FULL_DECODE = "mixed8_full_decode"
    """MIXED8_DECODE in the same way."""
    MIXED16_FULL_PREFILL = "mixed16_full_prefill"
    """MIXED16_PREFILL in the same way."""
    MIXED16_FULL_DECODE = "mixed16_full_decode"
    """MIXED16_DECODE in the same way."""
    UNUSED_PREFILL = "unused_prefill"
    """The engine with 16 adapters in its slots, all rows for the base model, all logits computed."""
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
    POLYLORA8_DECODE = "polylora8_decode"
    """polylora with 8 adapters."""
    POLYLORA16_DECODE = "polylora16_decode"
    """polylora with 16 adapters."""
    SWAP = "swap"
    """The engine: one adapter from host memory into a slot, books included."""
    PEFT_LOAD = "peft_load"
    """PEFT: `load_adapter` of one more beside 16."""
    PEFT8_PREFILL = "peft8_prefill"
    """PEFT with `adapter_names` of 8 adapters over every prompt."""
    PEFT1_PREFILL = "peft1_prefill"
    """PEFT over a single prompt, the trap of its frozen lm_head removed."""
    PEFT1_STOCK_PREFILL = "peft1_stock_prefill"
    """The same as PEFT comes: on CPU its frozen lm_head is copied for the row."""
    ENGINE_DECODE_HEAVY = "engine_decode_heavy"
    """The whole engine: all requests of the decode-heavy traffic from submit to the last outcome."""
    ENGINE_PREFILL_HEAVY = "engine_prefill_heavy"
    """The same for the prefill-heavy traffic."""
    TRANSFORMERS_DECODE_HEAVY = "transformers_decode_heavy"
    """transformers' continuous batching over the same tokens, on the base model: it has no adapters."""
    TRANSFORMERS_PREFILL_HEAVY = "transformers_prefill_heavy"
    """The same for the prefill-heavy traffic."""
    VLLM_DECODE_HEAVY = "vllm_decode_heavy"
    """vLLM with the same adapters over the same tokens, in a process of its own."""
    VLLM_PREFILL_HEAVY = "vllm_prefill_heavy"
    """The same for the prefill-heavy traffic."""
    REGISTERED8 = "registered8"
    """The whole engine: traffic over 8 registered adapters."""
    REGISTERED1000 = "registered1000"
    """The same requests over 1,000 registered adapters."""
    DETERMINISTIC_DECODE_HEAVY = "deterministic_decode_heavy"
    """The whole engine in deterministic mode: the decode-heavy traffic."""


class Clock(StrEnum):
    """Which time is judged."""

    CPU = "cpu"
    """Of the thread or process that works: the machine is shared."""
    WALL = "wall"
    """Synchronized with the device: a thread that waits for a GPU takes no time of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one step or of a whole workload, in milliseconds."""

    cpu_ms: float
    wall_ms: float


def _nothing() -> None:
    """A CPU has done its work when a call returns."""


def cost_of(work: Callable[[], object], *, steps: int = 1, settle: Callable[[], None] = _nothing) -> Cost:
    """Run `work` once, which takes so many steps, on this thread; torch must have no other.

    `settle` waits for the device that works.
    """
    settle()
    wall, cpu = time.perf_counter(), time.thread_time()
    work()
    settle()
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    return Cost(cpu_ms=cpu * 1000 / steps, wall_ms=wall * 1000 / steps)


def process_cost_of(work: Callable[[], object]) -> Cost:
    """Run `work` once and count every thread of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(cpu_ms=cpu * 1000, wall_ms=wall * 1000)


@dataclass(slots=True)
class Times:
    """Costs by kind, round by round: equal positions are neighbouring moments."""

    costs: dict[Timed, list[Cost]] = field(default_factory=dict[Timed, list[Cost]])
    notes: dict[Timed, str] = field(default_factory=dict[Timed, str])

    def add(self, kind: Timed, cost: Cost) -> None:
        """Keep the next round's."""
        self.costs.setdefault(kind, []).append(cost)

    def tell(self, kind: Timed, note: str) -> None:
        """Say something about a kind of work, for its rows."""
        self.notes[kind] = note

    def ratio(self, above: Timed, below: Timed, clock: Clock) -> Spread:
        """Over the rounds that have both: a dear kind of work may be timed in the first ones only."""
        pairs = zip(self.costs[above], self.costs[below], strict=False)
        return spread([_reading(a, clock) / _reading(b, clock) for a, b in pairs])


def _reading(cost: Cost, clock: Clock) -> float:
    return cost.cpu_ms if clock is Clock.CPU else cost.wall_ms
