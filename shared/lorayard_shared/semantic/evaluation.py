"""How a classifier does on prompts it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.examples import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures over held-out examples."""

    examples: int
    decided: int
    correct: int
    """Of those decided."""
    abstained: int
    rightly_abstained: int
    """Of those labelled `none`."""
    calibration_error: float
    confusion: Mapping[str, Mapping[str, int]]
    """Label given -> label chosen, or `abstained` -> how many."""
    left_out: tuple[str, ...]
    """Prompts that stand in the training examples too, and so prove nothing; shortened."""

    @property
    def accuracy(self) -> float | None:
        """Correct over decided; None where nothing was decided."""
        return self.correct / self.decided if self.decided else None


def evaluate(classifier: Classifier, held_out: Sequence[Example]) -> Evaluation:
    """Choose for every held-out prompt and count."""
    raise NotImplementedError
