"""How much work a job is: laws from which a run's jobs are drawn, in tokens of one row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import Final

PREFILL_SHARE: Final = 0.02
"""A prompt's token takes this share of a generated one's time in a row: prompts are computed many tokens at
once, on CPUs and GPUs some 20 to 100 times as fast as text is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Cut at both ends: most are short, a few take ten times the median."""

    median: float
    spread: float  # of the logarithm
    least: float
    most: float

    def draw(self, random: Random) -> float:
        """One number of tokens."""
        return max(self.least, min(self.most, random.lognormvariate(math.log(self.median), self.spread)))

    @property
    def mean(self) -> float:
        """Exactly, of what is cut."""
        log = NormalDist(math.log(self.median), self.spread)
        shifted = NormalDist(log.mean + log.variance, self.spread)
        low, high = math.log(self.least), math.log(self.most)
        middle = math.exp(log.mean + log.variance / 2) * (shifted.cdf(high) - shifted.cdf(low))
        return self.least * log.cdf(low) + middle + self.most * (1.0 - log.cdf(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What is read and what is written, drawn apart: in the public traces they hardly go together."""

    written: LogNormal
    prompt: LogNormal | None = None  # None: counted in with what is written

    def draw(self, random: Random) -> float:
        """One job's work."""
        read = 0.0 if self.prompt is None else PREFILL_SHARE * self.prompt.draw(random)
        return self.written.draw(random) + read

    @property
    def mean_tokens(self) -> float:
        """A dispatcher that knows no better expects it of every job."""
        read = 0.0 if self.prompt is None else PREFILL_SHARE * self.prompt.mean
        return self.written.mean + read


SIZES: Final[Mapping[str, Sizes]] = {
    "text": Sizes(written=LogNormal(median=80.0, spread=0.6, least=8.0, most=400.0)),
    # Fitted (mean and deviation of the logarithms) to the 19,366 conversations and the 8,819 completions of
    # code in Azure's public LLM inference trace of 2023; Patel et al., "Splitwise", ISCA 2024.
    "chat": Sizes(
        written=LogNormal(median=151.0, spread=0.86, least=1.0, most=1000.0),
        prompt=LogNormal(median=760.0, spread=0.985, least=1.0, most=14_050.0),
    ),
    "code": Sizes(
        written=LogNormal(median=16.3, spread=0.85, least=1.0, most=1899.0),
        prompt=LogNormal(median=1095.0, spread=1.36, least=1.0, most=7437.0),
    ),
    "short": Sizes(written=LogNormal(median=32.0, spread=0.6, least=4.0, most=160.0)),
    "tiny": Sizes(written=LogNormal(median=12.0, spread=0.5, least=1.0, most=60.0)),
}
"""By name."""
