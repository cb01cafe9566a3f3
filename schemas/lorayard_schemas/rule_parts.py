"""What a rule may do beside naming one adapter: name several, or add some to what was chosen (C7)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ConfigDict

from lorayard_schemas.composition import CompositionPart


class Choice(StrEnum):
    """Where the adapter came from that a rule may add to: the stages, and the base model."""

    EXPLICIT = "explicit"
    TENANT = "tenant"
    TASK = "task"
    METADATA = "metadata"
    SESSION = "session"
    """What a session keeps; where that came from has to be listed too."""
    SEMANTIC = "semantic"
    DEFAULT = "default"
    BASE = "base"
    """The base model, whatever led to it; if the job names it, that is `explicit`."""


USUAL_CHOICES = tuple(choice for choice in Choice if choice not in (Choice.EXPLICIT, Choice.BASE))
"""What is added to where a rule does not say: whoever names an adapter gets that one."""


class Missing(StrEnum):
    """What becomes of a job when an adapter of a rule cannot be part of what it gets."""

    SKIP = "skip"
    """It goes without; the result says so."""
    REFUSE = "refuse"


class Conflict(StrEnum):
    """What becomes of an adapter that comes twice, from a choice and a rule or from two rules, be it in two
    versions."""

    FIRST = "first"
    """What came first stands: what was chosen, then the rules in their order."""
    LAST = "last"
    """It takes the place of what came before."""
    SUM = "sum"
    """Weights of one version are summed; two versions both stay."""
    MAX = "max"
    """The larger weight stands, whatever its sign; of equal ones the first."""
    REFUSE = "refuse"
    """The job is refused."""


class RulePart(CompositionPart):
    """One adapter of a rule, and what its update is multiplied by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.weight:g} {self.adapter}"
