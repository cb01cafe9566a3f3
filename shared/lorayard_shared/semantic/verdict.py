"""What the classifier says of one prompt."""

from __future__ import annotations

from lorayard_shared.value import value


@value
class Verdict:
    """An adapter and how sure the choice is, or none and why not."""

    adapter: str | None
    """None: abstained, and `reason` says why."""
    confidence: float
    """Of the best adapter that was allowed, 0..1, calibrated; 0.0 where there was none to judge."""
    threshold: float
    """What the confidence had to reach."""
    runner_up: str | None
    """Second of those allowed."""
    reason: str
    """One line for people."""
    nearest: str | None
    """The likeliest of those allowed, chosen or not."""


@value
class Leaning:
    """What a verdict is made of, before it is asked whether that is enough."""

    adapter: str | None
    """The likeliest that was allowed; None where there was nothing to judge."""
    confidence: float
    runner_up: str | None
    hindrance: str | None
    """Why it cannot be chosen however confident, for people."""
