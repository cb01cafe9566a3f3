"""Makes an encoder of a sentence-embedding model: every token of its vocabulary goes through it once."""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.semantic.encoder import EncoderFiles


def sentence_encoder(model_folder: Path) -> EncoderFiles:
    """Of a sentence-embedding model's folder. Takes a minute. Raises EncoderError."""
    raise NotImplementedError


def installed_sentence_model() -> Path | None:
    """The folder of the model that the extra `sentences` brings, where it is installed."""
    raise NotImplementedError
