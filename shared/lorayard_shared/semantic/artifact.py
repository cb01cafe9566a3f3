"""A trained classifier as files: what is written, and what is checked before any of it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorayard_shared.semantic.record import ClassifierRecord

RECORD_NAME = "classifier.json"
HEAD_NAME = "head.safetensors"
ENCODER_NAME = "encoder.safetensors"
TOKENIZER_NAME = "tokenizer.json"
FILE_NAMES = (RECORD_NAME, HEAD_NAME, ENCODER_NAME, TOKENIZER_NAME)
"""All of them, always; the last two are the same bytes for every artifact over one encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A classifier whose files were checked, with their bytes."""

    record: ClassifierRecord
    files: Mapping[str, bytes]
    """By name, each of FILE_NAMES."""
    digest: str
    """`sha256:<hex>` over names and content of all files."""


def read_artifact(folder: Path) -> Artifact:
    """Read a folder and check everything in it. Raises ArtifactError, naming the file."""
    raise NotImplementedError


def write_artifact(artifact: Artifact, folder: Path) -> None:
    """Write the files into a folder, made where it is missing."""
    raise NotImplementedError
