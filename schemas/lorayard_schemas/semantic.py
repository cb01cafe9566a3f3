"""Choosing an adapter by what a prompt means: what a classifier said of one job (B4)."""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.message import Part


class SemanticVerdict(Part):
    """What the classifier in force said of a prompt; without an adapter it abstained, for that reason."""

    adapter: str | None = None
    """The name that was trained for: an adapter, a version, an alias, or `base`."""
    confidence: float = Field(default=0.0, ge=0.0, le=1.0)
    """Calibrated: of as many verdicts like this one such a share is right."""
    threshold: float = Field(default=0.0, ge=0.0)
    """Under it the classifier abstains."""
    runner_up: str | None = None
    reason: str = ""
    revision: int = Field(default=0, ge=0)
    """Of the classifier; 0: none could be asked."""

    @property
    def told(self) -> str:
        """For people."""
        if self.adapter is not None:
            return f"{self.adapter} at {self.confidence:.2f}, {self.threshold:.2f} is enough"
        return self.reason or f"{self.confidence:.2f} under {self.threshold:.2f}"
