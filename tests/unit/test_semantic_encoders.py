"""A base model's own table becomes a small encoder, or the folder is refused with a reason (B4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save
from tokenizers import Tokenizer

from lorayard_shared.semantic import vocabulary
from lorayard_shared.semantic.encoder import Encoder
from lorayard_shared.semantic.encoders import base_table_encoder
from lorayard_shared.semantic.errors import EncoderError
from lorayard_shared.semantic.vocabulary import smaller_vocabulary

WORDS = ("sh", "ip", "ship", "sa", "il", "sail", "▁ship", "▁sail")
TABLE = "model.embed_tokens.weight"


def tokenizer_document() -> dict[str, Any]:
    """Byte pairs as Gemma has them: marks and bytes first, merges in their order, single characters last."""
    tokens = ["<pad>", "<unk>", "<0x0A>", "<0xF0>", *WORDS, *"▁shipal"]
    merges = [["s", "h"], ["i", "p"], ["sh", "ip"], ["s", "a"], ["i", "l"], ["sa", "il"]]
    return {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "<pad>", "special": True}],
        "truncation": {"max_length": 3},
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": {"type": "unknown kind"},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "byte_fallback": True,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [*merges, ["▁", "ship"], ["▁", "sail"]],
        },
    }


def weights_file(values: NDArray[Any]) -> bytes:
    """With a tensor of bf16, which numpy has no type for, behind another."""
    other = bytes(12)
    data = (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    header = json.dumps(
        {
            "other.weight": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
            TABLE: {"dtype": "BF16", "shape": values.shape, "data_offsets": [12, 12 + len(data)]},
        }
    ).encode()
    return len(header).to_bytes(8, "little") + header + other + data


@pytest.fixture
def table() -> NDArray[Any]:
    return np.random.default_rng(3).normal(size=(len(tokenizer_document()["model"]["vocab"]), 12))


@pytest.fixture
def folder(tmp_path: Path, table: NDArray[Any]) -> Path:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_document()))
    (tmp_path / "model.safetensors").write_bytes(weights_file(table))
    return tmp_path


def test_a_word_is_nearest_to_itself_in_whatever_case__b4(folder: Path) -> None:
    files = base_table_encoder(folder)
    encoder = Encoder(files.tokenizer, files.table)
    ship = encoder.encode("ship")
    assert float(ship @ encoder.encode("SHIP")) == pytest.approx(1, abs=1e-5)
    assert abs(float(ship @ encoder.encode("sail"))) < 0.9
    assert base_table_encoder(folder).digest == files.digest


def test_vectors_keep_the_angles_of_the_models_own(folder: Path, table: NDArray[Any]) -> None:
    """Four words of which two lie together in the model's table."""
    vocab = tokenizer_document()["model"]["vocab"]
    table[vocab["▁sail"]] = table[vocab["▁ship"]] + 0.1
    (folder / "model.safetensors").write_bytes(weights_file(table))
    files = base_table_encoder(folder)
    encoder = Encoder(files.tokenizer, files.table)
    assert float(encoder.encode("ship") @ encoder.encode("sail")) > 0.9


def test_weights_in_several_files_are_found_by_their_index(folder: Path) -> None:
    whole = base_table_encoder(folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {TABLE: "model-00001-of-00002.safetensors", "lm_head.weight": "elsewhere"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert base_table_encoder(folder).digest == whole.digest


def test_a_smaller_vocabulary_is_the_tokenizer_of_fewer_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_MERGED", 6)
    found = smaller_vocabulary(json.dumps(tokenizer_document()).encode())
    tokenizer: Any = Tokenizer.from_buffer(found.tokenizer)
    assert tokenizer.encode("ship sail").tokens == ["▁", "ship", "▁", "sail"]
    assert tokenizer.get_vocab_size() == len(found.sources) == len(found.ranks)
    kept = {tokenizer.id_to_token(i): int(rank) for i, rank in enumerate(found.ranks)}
    assert (kept["<unk>"], kept["<0x0A>"], kept["sh"], kept["sail"], kept["▁"]) == (0, 1, 1, 6, 1)


def test_a_sign_that_is_no_token_falls_into_bytes_that_say_little(folder: Path) -> None:
    files = base_table_encoder(folder)
    encoder = Encoder(files.tokenizer, files.table)
    assert float(encoder.encode("ship") @ encoder.encode("ship\n")) > 0.9


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def tokenizer_with(**model: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        document = tokenizer_document()
        document["model"] |= model
        (folder / "tokenizer.json").write_text(json.dumps(document))

    return damage


def weights_of(make: Callable[[], bytes]) -> Callable[[Path], None]:
    return written("model.safetensors", make)


def written(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(make())

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without("tokenizer.json"), "no tokenizer.json"),
        (without("model.safetensors"), "No such file"),
        (written("tokenizer.json", lambda: b"[]"), "no tokenizer that can"),
        (written("tokenizer.json", lambda: b"{"), "can be read: Expecting"),
        (tokenizer_with(type="Unigram"), "a Unigram tokenizer"),
        (tokenizer_with(vocab=["a"]), "no tokenizer that can be read"),
        (tokenizer_with(vocab={"a": 5000}, merges=[]), "has 19 rows, the tokenizer more"),
        (weights_of(lambda: b"\x02\0\0\0\0\0\0\0{}"), "0 tensors"),
        (weights_of(lambda: b"\xff" * 40), "its header has"),
        (weights_of(lambda: b"\x02\0\0\0\0\0\0\0[]"), "no JSON object"),
        (weights_of(lambda: save({TABLE: np.zeros((19, 4), np.int8)})), "is I8"),
        (weights_of(lambda: save({TABLE: np.zeros(19, np.float32)})), "a matrix of"),
        (weights_of(lambda: save({TABLE: np.zeros((19, 4), np.float32)})[:-9]), "cut off"),
        (weights_of(lambda: save({TABLE: np.full((19, 4), np.nan, np.float32)})), "no finite numbers"),
        (
            weights_of(lambda: save({n: np.zeros((19, 4), np.float32) for n in (TABLE, "b.wte.weight")})),
            "2 tensors",
        ),
    ],
)
def test_a_folder_without_a_usable_table_is_refused_with_a_reason(
    folder: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(folder)
    with pytest.raises(EncoderError, match=words) as refused:
        base_table_encoder(folder)
    assert str(folder) in str(refused.value)


def test_an_index_cannot_name_a_file_elsewhere(folder: Path) -> None:
    index = {"weight_map": {TABLE: "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EncoderError, match="no file of the folder"):
        base_table_encoder(folder)
