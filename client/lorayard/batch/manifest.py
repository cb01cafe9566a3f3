"""What is known of a batch, in one file that is replaced whole: `batch.json` in its state folder."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lorayard.batch.counts import BatchCounts
from lorayard.batch.errors import BrokenOutputError, NoBatchError, OutputWriteError
from lorayard.batch.files import state_folder
from lorayard.batch.options import BatchOptions

NAME = "batch.json"


class BatchState(StrEnum):
    """Where a batch is."""

    RUNNING = "running"
    """Or its runner was killed: whether it lives, its lock says."""
    STOPPED = "stopped"
    """Interrupted, or it could not go on; jobs it had sent go on, and `resume` finds them."""
    CANCELLED = "cancelled"
    """As asked. `resume` would do the rest."""
    COMPLETED = "completed"
    """Every line of the input stands in the output or in the error file."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AnsweredBy(_Record):
    """An adapter version that answered."""

    digest: str | None
    answers: int


class Manifest(_Record):
    """One batch, from beginning to end."""

    id: str
    state: BatchState
    lorayard: str
    """The version that wrote it."""
    tenant: str
    input: str
    input_sha256: str
    input_bytes: int
    output: str
    errors: str
    options: BatchOptions
    counts: BatchCounts = BatchCounts()
    """Of all runs: what stands in the files. Rates are those of the last run."""
    adapters: dict[str, AnsweredBy] = {}
    """`name@version`, `base` or the model's words for a composition -> what answered."""
    created_at: float
    """Unix seconds, as all times here."""
    updated_at: float
    finished_at: float | None = None
    runs: int = 1
    redo_failed_before: float = 0.0
    """Failed results older than that are not taken for answers: `--retry-errors` was given then."""
    redo_cancelled_before: float = 0.0
    """The same of cancelled ones: it was resumed after a cancel then."""
    generations: int = 0
    """The highest one of a key: how often the most unlucky line was asked once more."""
    trouble: str | None = None
    """Why it stopped."""


def read_manifest(output: Path) -> Manifest:
    """Of the batch with this output.

    Raises:
        NoBatchError: there is none.
        BrokenOutputError: it is no manifest.
    """
    path = state_folder(output) / NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NoBatchError(output=output) from error
    except NotADirectoryError as error:
        raise NoBatchError(output=output) from error
    except ValidationError as error:
        raise BrokenOutputError(path=path, line=1, reason="is no manifest of a batch") from error


def write_manifest(manifest: Manifest) -> None:
    """Replace it; a reader sees the old one or the new one.

    Raises:
        OutputWriteError: the folder cannot be written.
    """
    folder = state_folder(Path(manifest.output))
    path, new = folder / NAME, folder / f"{NAME}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with new.open("w") as file:
            json.dump(manifest.model_dump(mode="json"), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise OutputWriteError(path=path, reason=error.strerror or str(error)) from error
