"""How far a run is; whoever shows progress looks at it whenever it likes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one run; only the run writes them."""

    documents: int = 0
    """Found."""
    done: int = 0
    """With a summary, or listed with a reason."""
    failed: int = 0
    unreadable: int = 0
    kept: int = 0
    """Documents that were done in an earlier run."""
    chunks: int = 0
    """Jobs that are needed, as far as documents are read: parts and combinations."""
    chunks_done: int = 0
    chunks_kept: int = 0
    """Of those done, answers of earlier runs."""
    retried: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Of this run alone, both."""
    slot_hits: int = 0
    answered: int = 0
    """Jobs of this run."""
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def tokens_per_second(self) -> float:
        """Read and written."""
        return (self.prompt_tokens + self.completion_tokens) / max(self.seconds, 1e-9)

    @property
    def hit_rate(self) -> float | None:
        """Of this run's jobs, those that found their adapter in a slot."""
        return self.slot_hits / self.answered if self.answered else None

    @property
    def seconds_left(self) -> float | None:
        """By documents; None: too early to tell."""
        fresh = self.done - self.kept
        if fresh < 1 or self.done >= self.documents:
            return None
        return (self.documents - self.done) * self.seconds / fresh
