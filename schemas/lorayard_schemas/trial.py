"""What a guard has counted of one revision of an alias, so that another dispatcher goes on from there.

Kept in the bucket `yard_control`, one value for each alias. Of two, that of the later revision counts, then
the one that has seen more answers.
"""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.alias import MAX_ARMS, alias_key
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterName, AliasWord, Version

TRIALS = "trial."
"""Begins the bucket keys of trials."""

MAX_FIRST_ANSWERS = 1000


class Counts(Part):
    """Outcomes of one version."""

    jobs: int = Field(default=0, ge=0)
    hits: int = Field(default=0, ge=0)
    """Outcomes of the kind that is counted."""


class RateState(Part):
    """One comparison of two rates (`lorayard_dispatcher.guarding.two_rates`)."""

    control: Counts = Counts()
    tried: Counts = Counts()
    block: Counts = Counts()
    """Of the control since the last outcome of what is tried."""
    log_evidence: float = Field(default=0.0, allow_inf_nan=False)


class TriedState(Part):
    """One version that is tried out."""

    version: Version
    failures: RateState
    slow: RateState


class TrialRecord(Message):
    """One trial."""

    adapter: AdapterName
    alias: AliasWord
    revision: int = Field(ge=1)
    """Of the alias."""
    answers: int = Field(default=0, ge=0)
    """That were counted: grows with each."""
    tried: tuple[TriedState, ...] = Field(default=(), max_length=MAX_ARMS)
    first_ms: tuple[float, ...] = Field(default=(), max_length=MAX_FIRST_ANSWERS)
    """How long the control's first answers took: what the bar is made of, once there are enough."""
    bar_ms: float | None = Field(default=None, allow_inf_nan=False)
    """What takes longer is slow; None: not known yet."""

    @property
    def rank(self) -> tuple[int, int]:
        """The greater one counts."""
        return self.revision, self.answers


def trial_key(adapter: str, alias: str) -> str:
    """The bucket key of an alias's trial."""
    return TRIALS + alias_key(adapter, alias)
