"""What there is to know of a base model without having its weights, in the bucket `yard_models`."""

from __future__ import annotations

from lorayard_schemas.adapter import StoredFile
from lorayard_schemas.message import Message
from lorayard_schemas.names import Digest

TOKENIZER_NAME = "tokenizer.json"
"""As Hugging Face's `tokenizers` writes and reads it."""

MAX_TOKENIZER_BYTES = 256 * 2**20
"""The largest known have 35 MB."""


class ModelCard(Message):
    """One base model of the yard, from the last worker that loaded it."""

    base_digest: Digest
    model: str
    """As that worker's settings name it."""
    tokenizer: StoredFile
    """In the object store `yard_blobs`, so that prompts can be counted and split far from the model."""
