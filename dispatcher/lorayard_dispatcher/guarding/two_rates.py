"""Evidence that one rate is higher than another, which may be looked at after every single outcome.

A test of a fixed size that is looked at again and again raises false alarms without bound. This one is an
e-process of blocks: some outcomes of the control, then one of the arm that is tried. A block multiplies the
evidence by its likelihood under the two rates that were estimated before it, over that under their mean,
weighted as the block is (Turner, Ly and Grünwald, "Generic e-variables for exact sequential k-sample tests
that allow for optional stopping", JSPI 2024). Where both arms have the same rate, whatever it is, the
probability that the evidence *ever* reaches 1/alpha is at most alpha (Ville 1939), in whatever numbers the
arms take turns. It is exact for every sample size: nothing is taken for normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counted:
    """Outcomes of one arm."""

    jobs: int = 0
    hits: int = 0
    """Outcomes of the kind that is counted."""

    def add(self, jobs: int, hits: int) -> None:
        """So many more."""
        self.jobs += jobs
        self.hits += hits

    @property
    def rate(self) -> float:
        """Of the outcomes so far; 0 of none."""
        return self.hits / self.jobs if self.jobs else 0.0


@dataclass(slots=True)
class RateTest:
    """Whether what is tried has a higher rate than the control."""

    control: Counted = field(default_factory=Counted)
    tried: Counted = field(default_factory=Counted)
    log_evidence: float = 0.0
    """Natural logarithm; 0 says nothing either way."""
    block: Counted = field(default_factory=Counted)
    """Of the control since the last outcome of what is tried."""

    def see_control(self, *, hit: bool) -> None:
        """One outcome of the control."""
        self.block.add(1, hit)

    def see_tried(self, *, hit: bool) -> None:
        """One outcome of what is tried: it ends a block."""
        block, self.block = self.block, Counted()
        before = (self.control.hits + 0.5) / (self.control.jobs + 1)
        # Taken for twice as bad until it says otherwise: that is what is to be found soon.
        after = (self.tried.hits + min(0.5, 2 * before)) / (self.tried.jobs + 1)
        if after > before:
            same = (block.jobs * before + after) / (block.jobs + 1)
            self.log_evidence += block.hits * math.log(before / same)
            self.log_evidence += (block.jobs - block.hits) * math.log((1 - before) / (1 - same))
            self.log_evidence += math.log(after / same if hit else (1 - after) / (1 - same))
        self.control.add(block.jobs, block.hits)
        self.tried.add(1, hit)
