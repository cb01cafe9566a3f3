"""Makes an encoder's files out of a model's: a few megabytes instead of half a gigabyte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.plain_file import read_plain_file
from lorayard_shared.semantic.encoder import MAX_ROWS, EncoderFiles
from lorayard_shared.semantic.errors import EncoderError
from lorayard_shared.semantic.record import EncoderKind
from lorayard_shared.semantic.vocabulary import Vocabulary, VocabularyError, smaller_vocabulary
from lorayard_shared.semantic.weights_file import WeightsFileError, read_rows

DIMENSIONS = 256
_COMMON_PART = 1
"""Leading components that are taken out: all tokens share them, so they tell nothing apart."""
_RARITY = 1e-3
"""`a` of a / (a + p), after Arora et al. (2017): a token of probability p counts that much."""
_WHITENING = 0.5
"""Components are divided by their spread to this power: small differences tell more, noise stays low."""
_MAX_TOKENIZER_BYTES = 128 << 20
_TABLES = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
"""How the tensor's name ends, by family of models."""


def base_table_encoder(model_folder: Path) -> EncoderFiles:
    """Of a base model's folder, as transformers saves it. Takes a few seconds. Raises EncoderError."""
    vocabulary = read_vocabulary(model_folder)
    try:
        vectors = read_rows(model_folder, _TABLES, vocabulary.sources)
    except WeightsFileError as error:
        raise EncoderError(model_folder, str(error)) from None
    return encoder_of(model_folder, EncoderKind.BASE_TABLE, vocabulary, vectors)


def read_vocabulary(model_folder: Path) -> Vocabulary:
    """What is kept of its `tokenizer.json`. Raises EncoderError."""
    try:
        found = smaller_vocabulary(
            bytes(read_plain_file(model_folder, "tokenizer.json", _MAX_TOKENIZER_BYTES))
        )
    except FileNotFoundError:
        raise EncoderError(model_folder, "there is no tokenizer.json") from None
    except AdapterRefusedError as error:
        raise EncoderError(model_folder, error.reason) from None
    except VocabularyError as error:
        raise EncoderError(model_folder, f"tokenizer.json: {error}") from None
    if len(found.sources) > MAX_ROWS:
        raise EncoderError(model_folder, f"{len(found.sources)} tokens, more than {MAX_ROWS}")
    return found


def encoder_of(
    folder: Path, kind: EncoderKind, vocabulary: Vocabulary, vectors: NDArray[np.float32]
) -> EncoderFiles:
    """Token vectors [tokens, any width] in the vocabulary's order, made small. Raises EncoderError."""
    if not bool(np.isfinite(vectors).all()):
        raise EncoderError(folder, "its embedding table holds values that are no finite numbers")
    chance = _chance(vocabulary.ranks)
    narrowed = _narrowed(_unit(vectors), chance)
    weights = _RARITY / (_RARITY + chance) * (vocabulary.ranks > 0)
    table = save(_quantized(narrowed, weights.astype(np.float32)))
    return EncoderFiles(kind=kind, tokenizer=vocabulary.tokenizer, table=table)


def _chance(ranks: NDArray[np.intp]) -> NDArray[np.float64]:
    """How often each token comes up, by Zipf's law over its rank as nobody counted."""
    chance: NDArray[np.float64] = 1 / (np.maximum(ranks, 1) + 2.0)
    return chance / np.sum(1 / np.arange(3.0, len(ranks) + 3.0))


def _narrowed(vectors: NDArray[np.float32], chance: NDArray[np.float64]) -> NDArray[np.float32]:
    """[tokens, at most DIMENSIONS], each of unit length: around the mean text, along the main components."""
    centred = vectors - ((chance / chance.sum()).astype(np.float32) @ vectors)
    spread, axes = np.linalg.eigh((centred.T @ centred / len(centred)).astype(np.float64))
    common = _COMMON_PART if len(spread) > DIMENSIONS else 0
    chosen = slice(common, common + DIMENSIONS)
    scale = np.maximum(spread[::-1][chosen], 1e-12) ** (_WHITENING / 2)
    found = centred @ (axes[:, ::-1][:, chosen] / scale).astype(np.float32)
    return _unit(found)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, np.maximum(lengths, 1e-6), dtype=np.float32)


def _quantized(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Whole numbers to 127 and one scale for each row."""
    peak = np.maximum(np.abs(rows).max(axis=1), 1e-6)
    whole = np.rint(rows / peak[:, None] * 127).astype(np.int8)
    return {"rows": whole, "scales": (peak / 127 * weights).astype(np.float32)}
