"""Choosing an adapter by what a prompt means (B4): the classifier in force, and what it said of one job."""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.adapter import StoredFile
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterSpec, Digest

SEMANTIC_KEY = "semantic"
"""Of the bucket `yard_rules`, beside the table of rules: `routes` commands change both."""

MAX_LABELS = 1000
"""As many as rules: beyond that choosing takes longer than a job may wait for it."""

MAX_FILES = 8


class SemanticFigures(Part):
    """How a classifier did on examples that it was not trained on (cross-validation)."""

    examples: int = Field(default=0, ge=0)
    decided: int = Field(default=0, ge=0)
    correct: int = Field(default=0, ge=0)
    """Of those decided."""
    calibration_error: float = Field(default=0.0, ge=0.0)

    @property
    def accuracy(self) -> float | None:
        """Correct over decided; None where nothing was decided."""
        return self.correct / self.decided if self.decided else None


class SemanticRecord(Message):
    """One revision of what is in force; without files nothing is, and the stage is passed over."""

    revision: int = Field(default=1, ge=1)
    artifact: Digest | None = None
    """Of all files."""
    files: tuple[StoredFile, ...] = Field(default=(), max_length=MAX_FILES)
    labels: tuple[AdapterSpec, ...] = Field(default=(), max_length=MAX_LABELS)
    """What it may choose: an adapter, a version, an alias, or `base`."""
    threshold: float = Field(default=0.0, ge=0.0)
    """Less confidence than this abstains."""
    wanted_precision: float = Field(default=0.0, ge=0.0, le=1.0)
    encoder: str = ""
    """Where its vectors come from: `base-table`, `sentence` ..."""
    encoder_digest: Digest | None = None
    examples: int = Field(default=0, ge=0)
    observed: int = Field(default=0, ge=0)
    """Of those, embeddings of traffic that named its adapter."""
    examples_digest: str = ""
    figures: SemanticFigures = Field(default_factory=SemanticFigures)
    restores: int | None = Field(default=None, ge=1)
    """The revision that this one is a return to."""
    by: str = ""
    why: str = ""
    at: float = 0.0
    """Unix seconds."""

    @property
    def is_on(self) -> bool:
        """Whether there is a classifier."""
        return self.artifact is not None and bool(self.files)


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


class SemanticStatus(Part):
    """What a dispatcher tells of its classifier, since its start."""

    revision: int = 0
    """In force here; 0: none."""
    artifact: Digest | None = None
    labels: int = 0
    decided: int = 0
    abstained: int = 0
    cost_p50_us: float = 0.0
    """Of a decision, over the last thousand: reading the prompt and judging it, in microseconds."""
    cost_p99_us: float = 0.0
    samples: int = 0
    """Embeddings kept of jobs that named their adapter."""
    trouble: str = ""
    """Why what was put into force is not in force here."""
