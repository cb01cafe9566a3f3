"""How a classifier does on prompts it was not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorayard_shared.semantic.calibration import calibration_error
from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.examples import NONE, Example, prompt_digest

ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures over held-out examples that are not among those learnt."""

    examples: int
    """Judged: with those labelled `none`, without those left out."""
    decided: int
    correct: int
    """Of those decided."""
    abstained: int
    rightly_abstained: int
    """Of those labelled `none`."""
    calibration_error: float | None
    """Expected: mean distance of confidence from accuracy, 0..1, abstentions included."""
    confusion: Mapping[str, Mapping[str, int]]
    """Label given -> label chosen, or ABSTAINED -> how many."""
    left_out: tuple[str, ...]
    """Prompts that were learnt, and so prove nothing; shortened."""
    unknown: tuple[str, ...]
    """Labels given that the classifier does not have: it can only be wrong there, or abstain."""

    @property
    def accuracy(self) -> float | None:
        """Correct over decided; None where nothing was decided."""
        return self.correct / self.decided if self.decided else None


def evaluate(classifier: Classifier, held_out: Sequence[Example]) -> Evaluation:
    """Choose for every held-out prompt and count; one that stands there twice counts once."""
    learnt = frozenset(classifier.record.prompt_digests)
    once = {prompt_digest(one.prompt)[:16]: one for one in held_out}
    judged = [one for digest, one in once.items() if digest not in learnt]
    verdicts = [classifier.choose(one.prompt) for one in judged]
    chosen = [(one.adapter, verdict.adapter) for one, verdict in zip(judged, verdicts, strict=True)]
    confusion: dict[str, Counter[str]] = {}
    for given, adapter in chosen:
        confusion.setdefault(given, Counter())[adapter or ABSTAINED] += 1
    return Evaluation(
        examples=len(judged),
        decided=sum(adapter is not None for _, adapter in chosen),
        correct=sum(given == adapter for given, adapter in chosen),
        abstained=sum(adapter is None for _, adapter in chosen),
        rightly_abstained=sum(given == NONE and adapter is None for given, adapter in chosen),
        calibration_error=_calibration_error(classifier, judged),
        confusion={given: dict(row) for given, row in sorted(confusion.items())},
        left_out=tuple(f"{one.prompt:.80}" for digest, one in once.items() if digest in learnt),
        unknown=tuple(sorted({one.adapter for one in judged} - {*classifier.adapters, NONE})),
    )


def _calibration_error(classifier: Classifier, judged: Sequence[Example]) -> float | None:
    leanings = [(one, classifier.lean(one.prompt)) for one in judged]
    if not leanings:
        return None
    return calibration_error(
        np.array([leaning.confidence for _, leaning in leanings]),
        np.array([one.adapter == leaning.adapter for one, leaning in leanings]),
    )
