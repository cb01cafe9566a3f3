"""Makes an encoder's files out of a model's: a few megabytes instead of half a gigabyte."""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.semantic.encoder import EncoderFiles


def base_table_encoder(model_folder: Path) -> EncoderFiles:
    """Of a base model's folder (`model.safetensors`, `tokenizer.json`). Raises EncoderError."""
    raise NotImplementedError
