"""Cards of base models in their bucket. Their tokenizers lie in the store of blobs."""

from __future__ import annotations

from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.model_card import ModelCard
from lorayard_schemas.names import key_token
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket

MODELS = "models"


class ModelStore:
    """Every method raises `nats.errors.Error` where the bus does not answer, or lacks the bucket."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def list(self) -> list[ModelCard]:
        """Every card that can be read; one that cannot is written anew by the next worker that starts."""
        bucket = await self._bus.js.key_value(self._bus.subjects.bucket(MODELS))
        found: list[ModelCard] = []
        for entry in await list_bucket(bucket):
            if entry.operation is None and entry.value:
                try:
                    found.append(decode(ModelCard, entry.value))
                except MalformedMessageError:
                    continue
        return sorted(found, key=lambda card: card.base_digest)

    async def put(self, card: ModelCard) -> None:
        """Write a card unless it is there."""
        if card in await self.list():
            return
        bucket = await self._bus.js.key_value(self._bus.subjects.bucket(MODELS))
        await bucket.put(key_token(card.base_digest), encode(card))
