"""`Classifiers`, blocking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lorayard.registry.calls import Calls
from lorayard.registry.classifiers import PRECISION, Classifiers, Examples
from lorayard_schemas.semantic import SemanticRecord

if TYPE_CHECKING:
    from lorayard_shared.semantic.evaluation import Evaluation


class SyncClassifiers:
    """The classifier of one yard; every method raises as that of `Classifiers` does."""

    def __init__(self, classifiers: Classifiers, thread: Callable[[], Calls]) -> None:
        self._classifiers = classifiers
        self._thread = thread

    def get(self) -> SemanticRecord:
        """What is in force: without files (`is_on`) nothing."""
        return self._thread().call(self._classifiers.get())

    def history(self) -> tuple[SemanticRecord, ...]:
        """What was in force and is, the newest last."""
        return self._thread().call(self._classifiers.history())

    def rollback(self, *, to: int | None = None, reason: str = "") -> SemanticRecord:
        """Return to a revision; None: the one before this, past returns."""
        return self._thread().call(self._classifiers.rollback(to=to, reason=reason))

    def off(self, *, reason: str = "") -> SemanticRecord:
        """Choose nothing by meaning any more."""
        return self._thread().call(self._classifiers.off(reason=reason))

    def put(self, folder: Path | str, *, check: bool = True, reason: str = "") -> SemanticRecord:
        """Put a classifier into force from a folder; see `Classifiers.put`."""
        return self._thread().call(self._classifiers.put(folder, check=check, reason=reason))

    def train(
        self,
        examples: Examples,
        *,
        model: Path | str | None = None,
        precision: float = PRECISION,
        check: bool = True,
        reason: str = "",
    ) -> SemanticRecord:
        """Make a classifier of example prompts, and put it into force; see `Classifiers.train`."""
        return self._thread().call(
            self._classifiers.train(examples, model=model, precision=precision, check=check, reason=reason)
        )

    def evaluate(self, held_out: Examples, *, folder: Path | str | None = None) -> Evaluation:
        """Judge prompts that the classifier was not made from; see `Classifiers.evaluate`."""
        return self._thread().call(self._classifiers.evaluate(held_out, folder=folder))
