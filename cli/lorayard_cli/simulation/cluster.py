"""The modelled yard's constants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lorayard_cli.simulation.errors import BadSettingError

STAGED_AHEAD = 2
"""Adapters of queued jobs that are kept in host memory before a slot is free: a worker takes two jobs beyond
its rows, and further ones would push each other out of a small host tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Equal workers around one base model, and what they cost."""

    workers: int = 8
    rows: int = 16  # that one worker decodes at once
    slots: int = 8  # adapters in device memory of one worker
    host: int = 32  # adapters in host memory of one worker, those in slots included
    adapters: int = 64  # that there are
    lookahead: int = 2  # jobs a worker takes beyond its rows, to hide the way there
    load_seconds_host: float = 0.03  # host memory to slot
    load_seconds_disk: float = 0.27  # disk to host memory
    stall: float = 1.0
    """Part of decode speed lost while an adapter is loaded: 1 as engines are commonly deployed, 0 where the
    copy overlaps with decoding."""
    staging: bool = False
    """Whether a worker that decodes fetches a missing adapter into host memory beside it, and stops only for
    the copy into the slot; without it, it stops for the whole load."""
    step_milliseconds: float = 25.0
    """One token for every row of a worker with one base model..."""
    row_milliseconds: float = 0.5
    """... and for each row..."""
    adapter_milliseconds: float = 1.0
    """... and for each distinct adapter in the batch."""

    def __post_init__(self) -> None:
        """Raises BadSettingError for what no worker could be."""
        for name in ("workers", "rows", "slots", "adapters"):
            if getattr(self, name) < 1:
                raise BadSettingError(name, f"must be at least 1, not {getattr(self, name)}")
        least = min(self.slots, self.adapters) + STAGED_AHEAD + 1
        if self.host < least:
            told = f"must be at least {least}: the adapters in slots, and those on their way"
            raise BadSettingError("host", f"{told}; not {self.host}")
        if self.lookahead < 0:
            raise BadSettingError("lookahead", f"must not be negative, as {self.lookahead} is")
        if not 0.0 <= self.stall <= 1.0:
            raise BadSettingError("stall", f"must be from 0 to 1, not {self.stall}")
        for name in ("load_seconds_host", "load_seconds_disk", "row_milliseconds", "adapter_milliseconds"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise BadSettingError(name, f"must be a number and not negative, not {getattr(self, name)}")
        if not 0.0 < self.step_milliseconds < math.inf:
            raise BadSettingError("step_milliseconds", f"must be positive, not {self.step_milliseconds}")

    @property
    def names(self) -> tuple[str, ...]:
        """The workers' names, sorted."""
        return tuple(f"worker-{number:03}" for number in range(self.workers))

    def step_seconds(self, rows: int, distinct: int) -> float:
        """Time for one token of each row."""
        return 0.001 * (
            self.step_milliseconds + self.row_milliseconds * rows + self.adapter_milliseconds * distinct
        )

    def jobs_per_second(self, tokens: float) -> float:
        """Load 1.0: what it would serve with every row busy and no loads, for jobs of so many tokens."""
        full = self.step_seconds(self.rows, min(self.slots, self.rows, self.adapters))
        return self.workers * self.rows / (full * tokens)
