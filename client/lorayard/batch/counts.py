"""How far a batch is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class BatchCounts(BaseModel):
    """Lines by what became of them, and what the answers of this run cost."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lines: int = 0
    """Of the input, blank ones not counted; until all is read, an estimate."""
    answered: int = 0
    """In the output."""
    failed: int = 0
    """In the error file: asked, and not answered."""
    bad: int = 0
    """In the error file: nobody was asked."""
    in_flight: int = 0
    """Sent, and not written yet."""
    resumed: int = 0
    """Of those written, what an earlier run had written."""
    found: int = 0
    """Answers and running jobs of an earlier run that this one went on with."""
    sent_again: int = 0
    """Lines sent once more: refused for want of room, or not confirmed by the bus."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    resident: int = 0
    """Answers whose adapter was in its slot already."""
    answers: int = 0
    """Of this run, choices counted one by one."""
    seconds: float = 0.0
    """Of this run."""
    written_now: int = 0
    """By this run."""
    trouble: str | None = None
    """What it waits for now, as a full yard or a bus that is away."""

    @property
    def written(self) -> int:
        """Lines that are done with."""
        return self.answered + self.failed + self.bad

    @property
    def hit_rate(self) -> float | None:
        """Share of answers that waited for no load; None before the first."""
        return self.resident / self.answers if self.answers else None

    @property
    def tokens_per_second(self) -> float:
        """Written by the models, in this run."""
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """As fast as this run has been; None before anybody can tell."""
        left = self.lines - self.written
        if not self.written_now or self.seconds <= 0:
            return None
        return max(0, left) * self.seconds / self.written_now
