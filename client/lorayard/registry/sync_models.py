"""`Models`, blocking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lorayard.registry.calls import Calls
from lorayard.registry.models import Models
from lorayard_schemas.model_card import ModelCard


class SyncModels:
    """The base models of one yard; every method raises as that of `Models` does."""

    def __init__(self, models: Models, thread: Callable[[], Calls]) -> None:
        self._models = models
        self._thread = thread

    def __call__(self) -> list[ModelCard]:
        """A card for each; see `Models`."""
        return self._thread().call(self._models())

    def fetch_tokenizer(self, card: ModelCard, target: Path) -> None:
        """Write a model's `tokenizer.json` to `target`, checked."""
        self._thread().call(self._models.fetch_tokenizer(card, target))
