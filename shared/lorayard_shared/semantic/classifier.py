"""Chooses an adapter for a prompt that names none, in well under two milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.semantic.artifact import Artifact, read_artifact
from lorayard_shared.semantic.verdict import Verdict


class Classifier:
    """A trained artifact, ready to decide. Deterministic; threads may share one."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read and check a folder as `artifact` writes it. Raises ArtifactError."""
        return cls(read_artifact(folder))

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over all files."""
        return self._artifact.digest

    @property
    def adapters(self) -> tuple[str, ...]:
        """The labels it tells apart, sorted: adapter specs as rules have them, or `base`."""
        return self._artifact.record.labels

    def choose(self, text: str, allowed: Callable[[str], bool] | None = None) -> Verdict:
        """Pick one of the adapters that `allowed` is true of (all without it), or abstain and say why."""
        raise NotImplementedError

    def embed(self, text: str) -> NDArray[np.float32]:
        """A vector of unit length; zeros where no token of the text is known."""
        raise NotImplementedError
