"""Chooses an adapter for a prompt that names none, in well under two milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.semantic.artifact import Artifact, read_artifact
from lorayard_shared.semantic.encoder import ENCODER_NAME, TOKENIZER_NAME, EncoderFiles
from lorayard_shared.semantic.record import ClassifierRecord
from lorayard_shared.semantic.verdict import Leaning, Verdict

_NOT_HERE = "no adapter that may be used here is near enough"
"""Not which one is: who asks may not know of it."""
_FOR_NONE = "the text is like none of the examples: it looks as if it is for no adapter"


class Classifier:
    """A trained artifact, ready to decide. Deterministic; threads may share one."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self._digest = artifact.digest

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read and check a folder as `artifact` writes it. Raises ArtifactError."""
        return cls(read_artifact(folder))

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over all files."""
        return self._digest

    @property
    def record(self) -> ClassifierRecord:
        """What it was made of, and how well it did."""
        return self._artifact.record

    @property
    def adapters(self) -> tuple[str, ...]:
        """The labels it tells apart, sorted: adapter specs as rules have them, or `base`."""
        return self._artifact.record.labels

    @property
    def encoder_files(self) -> EncoderFiles:
        """What reads the texts, for another classifier over the same."""
        files = self._artifact.files
        return EncoderFiles(
            kind=self.record.encoder_kind, tokenizer=files[TOKENIZER_NAME], table=files[ENCODER_NAME]
        )

    def choose(self, text: str, allowed: Callable[[str], bool] | None = None) -> Verdict:
        """Pick one of the adapters that `allowed` is true of (all without it), or abstain and say why.

        `allowed` is asked of the two likeliest at most: a prompt for one that may not be used is not given
        to another one.
        """
        leaning = self.lean(text, allowed)
        threshold = self.record.threshold
        reason = leaning.hindrance
        if reason is None and leaning.confidence < threshold:
            reason = (
                f"nearest is {leaning.adapter} with confidence {leaning.confidence:.2f}, "
                f"under the threshold of {threshold:.2f}"
            )
        return Verdict(
            adapter=leaning.adapter if reason is None else None,
            confidence=leaning.confidence,
            threshold=threshold,
            runner_up=leaning.runner_up,
            reason=reason or f"confidence {leaning.confidence:.2f}, threshold {threshold:.2f}",
            nearest=leaning.adapter,
        )

    def lean(self, text: str, allowed: Callable[[str], bool] | None = None) -> Leaning:
        """The likeliest of the adapters that are allowed, whether or not that is enough to decide."""
        labels = self.adapters
        vector = self.embed(text)
        if not vector.any():
            return _nowhere("the text holds nothing that the encoder knows")
        shares = self._shares(vector)
        none = shares[-1]
        best = int(shares[:-1].argmax())
        confidence = float(shares[best])
        if allowed is not None and not allowed(labels[best]):
            return _nowhere(_NOT_HERE)
        shares[best] = shares[-1] = 0.0
        second = labels[int(shares.argmax())] if len(labels) > 1 else None
        return Leaning(
            adapter=labels[best],
            confidence=confidence,
            runner_up=second if second is not None and (allowed is None or allowed(second)) else None,
            hindrance=_FOR_NONE if none > confidence else None,
        )

    def embed(self, text: str) -> NDArray[np.float32]:
        """A vector of unit length; zeros where no token of the text is known."""
        return self._artifact.encoder.encode(text)

    def _shares(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated, of each label and of none; the sum is 1.

        Those that may not be used have theirs, as they had when the threshold was found: without it, prompts
        that are for them would seem to be surely for others.
        """
        scores = (self._artifact.weights @ vector + self._artifact.biases).astype(np.float64)
        shares: NDArray[np.float64] = np.exp((scores - scores.max()) / self.record.temperature)
        shares /= shares.sum()
        return shares


def _nowhere(reason: str) -> Leaning:
    return Leaning(adapter=None, confidence=0.0, runner_up=None, hindrance=reason)
