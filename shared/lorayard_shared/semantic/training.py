"""Trains the classifier over a handful of examples per adapter."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_shared.semantic.artifact import Artifact
from lorayard_shared.semantic.encoder import EncoderFiles
from lorayard_shared.semantic.examples import Example

DEFAULT_PRECISION = 0.95


def train(
    examples: Sequence[Example], encoder: EncoderFiles, *, precision: float = DEFAULT_PRECISION
) -> Artifact:
    """The classifier; the same examples and encoder give the same digest. Raises TrainingError."""
    raise NotImplementedError
