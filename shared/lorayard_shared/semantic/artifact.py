"""A trained classifier as files: what is written, and what is checked before any of it is believed.

Four files and no pickle: `classifier.json`, the head's numbers, and the encoder's two, which are the same
bytes for every classifier over one encoder, so that a store by content keeps them once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lorayard_shared.adapters.errors import NotPlainFileError
from lorayard_shared.adapters.plain_file import fill, open_plain_file
from lorayard_shared.semantic.encoder import (
    ENCODER_NAME,
    MAX_TABLE_BYTES,
    MAX_TOKENIZER_BYTES,
    TOKENIZER_NAME,
    Encoder,
    encoder_digest,
)
from lorayard_shared.semantic.errors import ArtifactError
from lorayard_shared.semantic.record import ClassifierRecord
from lorayard_shared.semantic.tensors import read_tensors

RECORD_NAME = "classifier.json"
HEAD_NAME = "head.safetensors"
LIMITS: Mapping[str, int] = {
    RECORD_NAME: 8 << 20,
    HEAD_NAME: 8 << 20,  # 1,001 rows of 1,024 numbers take four
    ENCODER_NAME: MAX_TABLE_BYTES,
    TOKENIZER_NAME: MAX_TOKENIZER_BYTES,
}
"""Name -> the most bytes it may have. A classifier has all of these files."""
FILE_NAMES = tuple(LIMITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A classifier whose files were checked, with their bytes."""

    record: ClassifierRecord
    encoder: Encoder
    weights: NDArray[np.float32]
    """[labels + 1, dimensions]; the last row speaks for none of them."""
    biases: NDArray[np.float32]
    """[labels + 1]"""
    files: Mapping[str, bytes]
    """By name, each of FILE_NAMES."""

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over names and content of all files."""
        lines = [f"{name} {hashlib.sha256(self.files[name]).hexdigest()}\n" for name in FILE_NAMES]
        return f"sha256:{hashlib.sha256(b'lorayard-classifier-1 ' + ''.join(lines).encode()).hexdigest()}"


def read_artifact(folder: Path) -> Artifact:
    """Read a folder and check everything in it. Raises ArtifactError, naming the file."""
    return artifact_of({name: _read(folder, name) for name in FILE_NAMES})


def artifact_of(files: Mapping[str, bytes]) -> Artifact:
    """The classifier that these files are, by name. Raises ArtifactError, naming the file."""
    for name, limit in LIMITS.items():
        if name not in files:
            raise ArtifactError(name, "is missing")
        if len(files[name]) > limit:
            raise ArtifactError(name, f"has {len(files[name])} bytes, more than {limit}")
    record = _record(files[RECORD_NAME])
    if encoder_digest(files[TOKENIZER_NAME], files[ENCODER_NAME]) != record.encoder_digest:
        raise ArtifactError(ENCODER_NAME, f"with {TOKENIZER_NAME} is not the encoder {record.encoder_digest}")
    encoder = Encoder(files[TOKENIZER_NAME], files[ENCODER_NAME])
    head = read_tensors(files[HEAD_NAME], HEAD_NAME, {"weights": "F32", "biases": "F32"})
    rows = len(record.labels) + 1
    if encoder.dimensions != record.dimensions or head["weights"].shape != (rows, record.dimensions):
        raise ArtifactError(HEAD_NAME, f"weights {head['weights'].shape}, not {(rows, record.dimensions)}")
    if head["biases"].shape != (rows,):
        raise ArtifactError(HEAD_NAME, f"biases {head['biases'].shape}, not {(rows,)}")
    return Artifact(
        record=record,
        encoder=encoder,
        weights=head["weights"],
        biases=head["biases"],
        files={name: files[name] for name in FILE_NAMES},
    )


def write_artifact(artifact: Artifact, folder: Path) -> None:
    """Write the files into a folder, made where it is missing; the record last, as it vouches for them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in reversed(FILE_NAMES):
        part = folder / f".{name}.part"
        part.write_bytes(artifact.files[name])
        part.replace(folder / name)


def _record(data: bytes) -> ClassifierRecord:
    try:
        return ClassifierRecord.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactError(RECORD_NAME, f"{place}: {first['msg']}" if place else first["msg"]) from None


def _read(folder: Path, name: str) -> bytes:
    try:
        handle, state = open_plain_file(folder / name)
    except FileNotFoundError:
        raise ArtifactError(name, f"is missing in {folder}") from None
    except NotPlainFileError:
        raise ArtifactError(name, "is not a regular file") from None
    except OSError as error:
        raise ArtifactError(name, f"cannot be read: {error.strerror}") from None
    try:
        if state.st_size > LIMITS[name]:
            raise ArtifactError(name, f"has {state.st_size} bytes, more than {LIMITS[name]}")
        room = bytearray(state.st_size)
        return bytes(room[: fill(memoryview(room), handle)])
    finally:
        os.close(handle)
