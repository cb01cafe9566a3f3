"""When to start a crashed child again: exponential back-off, forgotten once it ran well for a while."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How patient the supervisor is."""

    first_seconds: float = 0.25
    """A single crash should cost hardly more than the start itself."""
    factor: float = 2.0
    longest_seconds: float = 15.0
    well_after_seconds: float = 30.0
    """A child that ran this long was healthy: its next crash counts as the first."""


def crashes_in_a_row(before: int, ran_seconds: float, policy: RestartPolicy) -> int:
    """How many crashes count now that one more happened after `ran_seconds`."""
    return 1 if ran_seconds >= policy.well_after_seconds else before + 1


def delay_seconds(crashes: int, policy: RestartPolicy) -> float:
    """How long to wait after this many crashes in a row."""
    # The exponent is bounded first: a float overflows near 2**1024.
    delay = policy.first_seconds * policy.factor ** min(crashes - 1, 32)
    return min(delay, policy.longest_seconds)
