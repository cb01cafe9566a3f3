"""How much is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of one run of the bench."""

    transfer_mib: tuple[int, ...]
    transfer_rounds: int
    versions: int
    """Pushed one after the other, until each has answered."""
    rollbacks: int
    guard_seeds: int
    equal_seeds: int
    """Trials of a version that is as good as its control."""
    equal_answers: int
    """Of that version, in each."""
    assignments: int
    decisions: int
    """By meaning, for each number of adapters."""


FULL: Final = Sizes(
    transfer_mib=(1, 16, 64),
    transfer_rounds=5,
    versions=9,
    rollbacks=60,
    guard_seeds=41,
    equal_seeds=400,
    equal_answers=1500,
    assignments=10_000,
    decisions=2_000,
)
QUICK: Final = Sizes(
    transfer_mib=(1, 16, 64),
    transfer_rounds=2,
    versions=5,
    rollbacks=30,
    guard_seeds=21,
    equal_seeds=100,
    equal_answers=1000,
    assignments=10_000,
    decisions=1_000,
)
"""Under a minute on two cores."""
