"""`client.models`: the yard's base models, without their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nats.js.errors

from lorayard.answering import Answering
from lorayard_schemas.model_card import ModelCard
from lorayard_shared.registry.blobs import BlobStore
from lorayard_shared.registry.model_store import ModelStore

if TYPE_CHECKING:
    from lorayard.link import Link


class Models:
    """The base models of one yard. Called, it lists those whose tokenizer is known.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def __call__(self) -> list[ModelCard]:
        """A card for each; an echo worker has no model, and a yard of an older version tells nothing."""
        link = self._open_link()
        async with Answering(link):
            try:
                return await ModelStore(link.bus).list()
            except nats.js.errors.BucketNotFoundError:
                return []

    async def fetch_tokenizer(self, card: ModelCard, target: Path) -> None:
        """Write a model's `tokenizer.json` to `target`; every byte is checked against its digest.

        Raises:
            FileMissingError: the store lacks a part of it, or has other bytes.
            OSError: the disk does not take it.
        """
        link = self._open_link()
        async with Answering(link):
            await BlobStore(link.bus).fetch(card.tokenizer, target)
