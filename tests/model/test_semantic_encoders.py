"""Encoders made of whole models as transformers saves them (B4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from lorayard_shared.semantic.encoder import Encoder
from lorayard_shared.semantic.encoders import base_table_encoder
from lorayard_shared.semantic.errors import EncoderError
from lorayard_shared.semantic.record import EncoderKind
from lorayard_workers.sentence_encoder import installed_sentence_model, sentence_encoder
from lorayard_workers.tiny_model import make_tiny_model

WORDS = "the ship sails soup boils ##ing"


@pytest.fixture(scope="module")
def sentence_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of a few thousand parameters."""
    folder = tmp_path_factory.mktemp("sentence")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split()]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = cast("Any", normalizers).BertNormalizer()
    tokenizer.pre_tokenizer = cast("Any", pre_tokenizers).BertPreTokenizer()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_sentence_model_becomes_a_table_of_its_tokens__b4(sentence_model: Path) -> None:
    files = sentence_encoder(sentence_model)
    assert files.kind is EncoderKind.SENTENCE
    encoder = Encoder(files.tokenizer, files.table)
    assert float(encoder.encode("The ship") @ encoder.encode("the SHIP")) == pytest.approx(1, abs=1e-5)
    assert abs(float(encoder.encode("ship") @ encoder.encode("soup"))) < 0.99
    assert not encoder.encode("xyzzy").any()
    assert sentence_encoder(sentence_model).digest == files.digest


def test_a_model_without_marks_around_a_text_is_no_sentence_model(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no marks"):
        sentence_encoder(make_tiny_model(tmp_path))


def test_a_folder_with_a_tokenizer_alone_is_no_sentence_model(sentence_model: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((sentence_model / "tokenizer.json").read_bytes())
    with pytest.raises(EncoderError, match="no sentence-embedding model"):
        sentence_encoder(tmp_path)


def test_a_base_model_of_bytes_gives_an_encoder_too__b4(tmp_path: Path) -> None:
    """`lorayard up --model tiny`: its table is noise, but a yard with it starts and decides."""
    files = base_table_encoder(make_tiny_model(tmp_path))
    encoder = Encoder(files.tokenizer, files.table)
    vector = encoder.encode("Grüße, 漢字 🙂\n")
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-5)


def test_the_packaged_sentence_model_is_found() -> None:
    """The extra `dev` brings it."""
    folder = installed_sentence_model()
    assert folder is not None
    assert (folder / "model.safetensors").is_file()
    assert (folder / "tokenizer.json").is_file()
