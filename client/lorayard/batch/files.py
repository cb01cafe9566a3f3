"""Where a batch reads and writes, and the folder beside its output in which it keeps its state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lorayard.batch.errors import BatchFilesError


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFiles:
    """The files of one batch, by their absolute paths."""

    input: Path
    output: Path
    errors: Path

    @property
    def state_folder(self) -> Path:
        """`OUT.jsonl.batch` beside `OUT.jsonl`."""
        return state_folder(self.output)


def batch_files(input: Path, output: Path, errors: Path | None = None) -> BatchFiles:  # as the CLI has it
    """The files, told apart; errors go to `OUT.errors.jsonl` unless told otherwise.

    Raises:
        BatchFilesError: two are the same, or the input is no file.
    """
    source, target = _real(input), _real(output)
    refused = (
        _real(errors) if errors is not None else target.with_name(f"{target.stem}.errors{target.suffix}")
    )
    for path in (source, target, refused):
        _check_name(path)
    if len({source, target, refused}) < 3:
        raise BatchFilesError("input, output and error file must be three files")
    if not source.is_file():
        raise BatchFilesError(f"{input} is no file; a batch reads its input more than once")
    if target.is_dir() or refused.is_dir():
        raise BatchFilesError(f"{output if target.is_dir() else errors} is a folder")
    return BatchFiles(input=source, output=target, errors=refused)


def state_folder(output: Path) -> Path:
    """Of the batch with this output."""
    target = _real(output)
    return target.with_name(f"{target.name}.batch")


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        reason = f"{shown}: the name is no UTF-8, and the batch's manifest could not tell it"
        raise BatchFilesError(reason) from error


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
