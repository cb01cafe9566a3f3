"""A classifier's files are believed only whole: every damage is told with the file's name (B4)."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from tests.unit.conftest import tiny_encoder, topic_examples

from lorayard_shared.semantic.artifact import (
    FILE_NAMES,
    HEAD_NAME,
    LIMITS,
    RECORD_NAME,
    Artifact,
    artifact_of,
    read_artifact,
    write_artifact,
)
from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.encoder import ENCODER_NAME, TOKENIZER_NAME, encoder_digest
from lorayard_shared.semantic.errors import ArtifactError
from lorayard_shared.semantic.training import train

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return train(topic_examples(), tiny_encoder())


def record_with(files: Mapping[str, bytes], **changes: object) -> bytes:
    return json.dumps(json.loads(files[RECORD_NAME]) | changes).encode()


def with_record(**changes: object) -> Callable[[Files], Files]:
    return lambda files: files | {RECORD_NAME: record_with(files, **changes)}


def with_file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    """The encoder's files under a record that vouches for them."""

    def damage(files: Files) -> Files:
        changed = files | {name: change(files[name])}
        return revouched(changed) if name == TOKENIZER_NAME else changed

    return damage


def with_head(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Files], Files]:
    return lambda files: files | {HEAD_NAME: save(change(load(files[HEAD_NAME])))}


def with_encoder(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Files], Files]:
    """Under a record that vouches for it."""
    return lambda files: revouched(files | {ENCODER_NAME: save(change(load(files[ENCODER_NAME])))})


def revouched(files: Files) -> Files:
    digest = encoder_digest(files[TOKENIZER_NAME], files[ENCODER_NAME])
    return files | {RECORD_NAME: record_with(files, encoder_digest=digest)}


def with_nan(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(tensors: dict[str, Any]) -> dict[str, Any]:
        tensors[name].flat[0] = np.nan
        return tensors

    return change


def cutting(tokenizer: bytes) -> bytes:
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    return json.dumps(json.loads(tokenizer) | {"truncation": truncation}).encode()


def test_what_was_written_is_read_again_and_decides_alike(artifact: Artifact, tmp_path: Path) -> None:
    write_artifact(artifact, tmp_path / "new" / "folder")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {*FILE_NAMES}
    found = Classifier.load(tmp_path / "new" / "folder")
    assert found.digest == artifact.digest
    assert found.record == artifact.record
    assert found.choose("boil the soup") == Classifier(artifact).choose("boil the soup")


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_digest_covers_every_file(artifact: Artifact, name: str) -> None:
    changed = Artifact(
        record=artifact.record,
        encoder=artifact.encoder,
        weights=artifact.weights,
        biases=artifact.biases,
        files={**artifact.files, name: artifact.files[name] + b" "},
    )
    assert changed.digest != artifact.digest


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_that_is_missing_cut_or_no_file_is_named(
    artifact: Artifact, tmp_path: Path, name: str
) -> None:
    write_artifact(artifact, tmp_path)
    (tmp_path / name).write_bytes(artifact.files[name][:-3])
    with pytest.raises(ArtifactError) as cut:
        read_artifact(tmp_path)
    # What is cut off an encoder's file shows where the record vouches for both.
    assert cut.value.file in ({name, ENCODER_NAME} if name == TOKENIZER_NAME else {name})
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match="is missing") as missing:
        read_artifact(tmp_path)
    assert missing.value.file == name
    os.mkfifo(tmp_path / name)
    with pytest.raises(ArtifactError, match="not a regular file"):
        read_artifact(tmp_path)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_of_too_many_bytes_is_refused_unread(artifact: Artifact, tmp_path: Path, name: str) -> None:
    write_artifact(artifact, tmp_path)
    os.truncate(tmp_path / name, LIMITS[name] + 1)
    with pytest.raises(ArtifactError, match="more than"):
        read_artifact(tmp_path)


def with_tokenizer(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Files], Files]:
    return with_file(TOKENIZER_NAME, lambda data: json.dumps(change(json.loads(data))).encode())


def of_a_model(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Files], Files]:
    return with_tokenizer(
        lambda document: document | {"model": document["model"] | change(document["model"])}
    )


def far_away(model: dict[str, Any]) -> dict[str, Any]:
    """As many tokens as before, the last with another number."""
    return {"vocab": {**model["vocab"], max(model["vocab"], key=model["vocab"].get): 1_000_000}}


def endless(document: dict[str, Any]) -> dict[str, Any]:
    """With a pattern that the library gives up on after so many tries, with a panic."""
    pattern = {"Regex": "(a+)+(a+)+(a+)+$"}
    return document | {"normalizer": {"type": "Replace", "pattern": pattern, "content": "x"}}


@pytest.mark.parametrize(
    ("damage", "file", "words"),
    [
        (with_file(RECORD_NAME, lambda _: b"{"), RECORD_NAME, "JSON"),
        (with_record(surprise=1), RECORD_NAME, "surprise"),
        (with_record(version=2), RECORD_NAME, "version"),
        (with_record(threshold=1.5), RECORD_NAME, "threshold"),
        (with_record(temperature=0), RECORD_NAME, "temperature"),
        (with_record(labels=["b/b/b", "a/a/a", "c/c/c"]), RECORD_NAME, "sorted"),
        (with_record(labels=["a/a/a", "a/a/a", "c/c/c"]), RECORD_NAME, "twice"),
        (with_record(labels=["no adapter"]), RECORD_NAME, "not an adapter"),
        (with_record(labels=["a/a/a"], examples_per_label=[2]), HEAD_NAME, r"not \(2, 24\)"),
        (with_record(examples_per_label=[1]), RECORD_NAME, "another length"),
        (with_record(dimensions=7), HEAD_NAME, r"not \(4, 7\)"),
        (with_record(encoder_digest="sha256:" + "0" * 64), ENCODER_NAME, "is not the encoder"),
        (with_file(HEAD_NAME, lambda _: pickle.dumps({"weights": 1})), HEAD_NAME, "header"),
        (with_head(with_nan("weights")), HEAD_NAME, "weights holds values that are no numbers"),
        (with_head(with_nan("biases")), HEAD_NAME, "biases holds values that are no numbers"),
        (with_head(lambda head: head | {"weights": head["weights"] * 1e30}), HEAD_NAME, "larger than"),
        (with_head(lambda head: head | {"weights": head["weights"][:-1]}), HEAD_NAME, r"weights \(3, 24\)"),
        (with_head(lambda head: head | {"biases": head["biases"][:-1]}), HEAD_NAME, "biases"),
        (with_head(lambda head: head | {"biases": head["biases"].astype(np.float16)}), HEAD_NAME, "F16"),
        (with_head(lambda head: head | {"more": head["biases"]}), HEAD_NAME, "more"),
        (with_encoder(with_nan("scales")), ENCODER_NAME, "no numbers"),
        (with_encoder(lambda table: table | {"scales": table["scales"][:-1]}), ENCODER_NAME, "scales"),
        (with_encoder(lambda table: table | {"rows": table["rows"].ravel()}), ENCODER_NAME, "rows"),
        (
            with_encoder(lambda table: {name: tensor[:-1] for name, tensor in table.items()}),
            TOKENIZER_NAME,
            "tokens for a table",
        ),
        (with_file(TOKENIZER_NAME, lambda _: b"[]"), TOKENIZER_NAME, "no tokenizer"),
        (with_file(TOKENIZER_NAME, cutting), TOKENIZER_NAME, "cuts or pads"),
        (of_a_model(far_away), TOKENIZER_NAME, "a token 1000000 for a table of"),
        (of_a_model(lambda _: {"unk_token": "none such"}), TOKENIZER_NAME, "fails on a text"),
    ],
)
def test_each_damage_is_told_with_its_file(
    artifact: Artifact, damage: Callable[[Files], Files], file: str, words: str
) -> None:
    with pytest.raises(ArtifactError, match=words) as refused:
        artifact_of(damage(dict(artifact.files)))
    assert refused.value.file == file


def test_a_text_that_the_tokenizer_panics_on_is_an_error_like_any_other(artifact: Artifact) -> None:
    made = Classifier(artifact_of(with_tokenizer(endless)(dict(artifact.files))))
    made.choose("some words")
    with pytest.raises(ArtifactError, match=r"fails on a text: .*retry-limit"):
        made.choose("a" * 31 + "!")


def test_whole_numbers_are_as_many_as_their_shape_says(artifact: Artifact) -> None:
    """The table's reader knows no such type, so nobody else looks."""
    table = bytearray(artifact.files[ENCODER_NAME])
    length = int.from_bytes(table[:8], "little")
    header = json.loads(table[8 : 8 + length])
    header["rows"]["shape"][0] += 1
    lied = json.dumps(header, separators=(",", ":")).encode().ljust(length)
    files = revouched({**artifact.files, ENCODER_NAME: bytes(table[:8] + lied + table[8 + length :])})
    with pytest.raises(ArtifactError, match="does not fit its bytes"):
        artifact_of(files)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_files_from_elsewhere_are_bounded_and_all_there(artifact: Artifact, name: str) -> None:
    with pytest.raises(ArtifactError, match="more than") as long:
        artifact_of({**artifact.files, name: bytes(LIMITS[name] + 1)})
    assert long.value.file == name
    with pytest.raises(ArtifactError, match="is missing") as missing:
        artifact_of({other: data for other, data in artifact.files.items() if other != name})
    assert missing.value.file == name
