"""What stands in `classifier.json`: which adapters, how sure to be, made of what, and how well it did."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from lorayard_schemas.message import Part
from lorayard_schemas.names import AdapterSpec, Digest
from lorayard_schemas.semantic import MAX_LABELS

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class EncoderKind(StrEnum):
    """Where an encoder's token vectors come from."""

    BASE_TABLE = "base-table"
    """The base model's own embedding table."""
    SENTENCE = "sentence"
    """A sentence-embedding model, every token sent through it once."""


class CrossValidation(Part):
    """How it did on examples that were held back: the mean of all rounds, in whole numbers.

    Background prompts are not among `examples`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: Count
    decided: Count
    correct: Count
    """Of those decided."""
    background: Count
    """Prompts that are for no adapter."""
    background_decided: Count
    """Of these, wrongly given to one."""
    calibration_error: Share
    """Expected: mean distance of confidence from accuracy."""
    reached: bool
    """Whether any threshold gave the wanted precision; if not, the one in use is the strictest there is."""


class ClassifierRecord(Part):
    """The classifier without its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    labels: Annotated[tuple[AdapterSpec, ...], Field(min_length=1, max_length=MAX_LABELS)]
    """Adapter specs as rules have them, or `base`; sorted."""
    examples_per_label: tuple[Count, ...]
    none_examples: Count
    """Of the operator's own examples, those that are for no adapter."""
    examples_digest: Digest
    """Of the examples it was trained on, in any order."""
    prompt_digests: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")], ...] = Field(
        max_length=100_000
    )
    """Of each, shortened, so that an evaluation can leave out what was learnt."""
    encoder_kind: EncoderKind
    encoder_digest: Digest
    dimensions: Annotated[int, Field(ge=1)]
    temperature: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    """Scores are divided by it before they become confidence."""
    threshold: Share
    """Less confidence than this abstains."""
    wanted_precision: Share
    cross_validation: CrossValidation

    @model_validator(mode="after")
    def _agrees(self) -> ClassifierRecord:
        if list(self.labels) != sorted(set(self.labels)):
            raise ValueError("labels are not sorted, or one stands there twice")
        if len(self.examples_per_label) != len(self.labels):
            raise ValueError("examples_per_label has another length than labels")
        return self
