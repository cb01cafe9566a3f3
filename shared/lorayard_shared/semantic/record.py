"""What stands in `classifier.json`: which adapters, how sure to be, made of what, and how well it did."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ConfigDict

from lorayard_schemas.message import Part


class EncoderKind(StrEnum):
    """Where an encoder's token vectors come from."""

    BASE_TABLE = "base-table"
    """The base model's own embedding table."""
    SENTENCE = "sentence"
    """A sentence-embedding model, every token sent through it once."""


class Evaluated(Part):
    """How it did in cross-validation, on examples it was not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: int
    decided: int
    correct: int
    """Of those decided."""
    calibration_error: float
    """Expected: mean distance of confidence from accuracy, 0..1."""


class ClassifierRecord(Part):
    """The classifier without its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    labels: tuple[str, ...]
    """Adapter specs as rules have them, or `base`; sorted."""
    examples_per_label: tuple[int, ...]
    examples_digest: str
    """Of the examples it was trained on, in any order."""
    encoder_kind: EncoderKind
    encoder_digest: str
    dimensions: int
    temperature: float
    """Scores are divided by it before they become confidence."""
    threshold: float
    """Less confidence than this abstains."""
    min_likeness: float
    """Cosine to the nearest example of the chosen adapter; less abstains."""
    wanted_precision: float
    cross_validation: Evaluated
