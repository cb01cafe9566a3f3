"""What can go wrong between examples and a classifier that decides.

YardError
  ArtifactError              whoever made or stored the classifier: a file of it is not as written
  ExamplesError              whoever wrote the examples: file, line and field
  TrainingError              whoever asked for the training: these examples teach no classifier
  EncoderError               operator: a model folder gives no encoder
"""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.errors import YardError


class ArtifactError(YardError):
    """A classifier's file cannot be used; nothing of it is."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"classifier: {file}: {reason}")
        self.file = file
        self.reason = reason


class ExamplesError(YardError):
    """A file of examples breaks a rule; `line` counts from 1, None where it is the file as a whole."""

    def __init__(self, *, source: str, line: int | None, field: str, reason: str) -> None:
        place = source if line is None else f"{source}, line {line}"
        super().__init__(f"{place}: {field}: {reason}" if field else f"{place}: {reason}")
        self.source = source
        self.line = line
        self.field = field
        self.reason = reason


class TrainingError(YardError):
    """The examples are well written, but no classifier can be made of them."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"routes train: {reason}")
        self.reason = reason


class EncoderError(YardError):
    """A model folder has no embedding table or tokenizer that can be used."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"encoder from {folder}: {reason}")
        self.folder = folder
        self.reason = reason
