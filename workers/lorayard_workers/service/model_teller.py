"""Tells the yard what its clients may need of the base model: the tokenizer.

Sent once per yard: the next worker with the model finds it there. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats.errors
import structlog

from lorayard_schemas.model_card import MAX_TOKENIZER_BYTES, TOKENIZER_NAME, ModelCard
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_shared.registry.blobs import BlobStore, FileBytes
from lorayard_shared.registry.errors import StoreFullError
from lorayard_shared.registry.model_store import ModelStore

AGAIN_SECONDS = 10.0
"""After a bus that did not answer, or a full store."""
REST_SECONDS = 3600.0
"""Once it is told there is nothing left to do, and a worker's loops do not end by themselves."""


class ModelTeller:
    """Stores the tokenizer's file, then the card that names it."""

    def __init__(self, bus: Bus, *, model: str, base_digest: str, tokenizer: Path | None) -> None:
        """`tokenizer` is the model's file, where there is a model."""
        self._bus, self._model, self._base_digest = bus, model, base_digest
        self._tokenizer = tokenizer

    async def run(self) -> None:
        """Tell it once, whenever that can be, then rest until cancelled."""
        told = False
        while True:
            told = told or await self._told()
            await asyncio.sleep(REST_SECONDS if told else AGAIN_SECONDS)

    async def _told(self) -> bool:
        try:
            data = await asyncio.to_thread(_read, self._tokenizer)
            if data is not None:
                await self._tell(data)
        except (nats.errors.Error, StoreFullError, OSError) as error:
            structlog.get_logger().warning(Event.MODEL_NOT_TOLD, reason=str(error) or type(error).__name__)
            return False
        return True

    async def _tell(self, data: bytes) -> None:
        sent = await BlobStore(self._bus).send(FileBytes(name=TOKENIZER_NAME, data=memoryview(data)))
        card = ModelCard(base_digest=self._base_digest, model=self._model, tokenizer=sent.file)
        await ModelStore(self._bus).put(card)


def _read(path: Path | None) -> bytes | None:
    if path is None or not path.is_file() or path.stat().st_size > MAX_TOKENIZER_BYTES:
        return None
    return path.read_bytes()
