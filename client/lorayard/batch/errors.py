"""What ends a batch as a whole. What is wrong with one line is written to the error file instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorayard.errors import LorayardError

if TYPE_CHECKING:
    from lorayard.batch.line import BadLine

SHOWN = 5
"""Bad lines that an error's text repeats; the rest is in its `lines`."""


class BatchError(LorayardError):
    """The batch cannot go on as it is. What is written stays, and can be gone on from."""


class BatchFilesError(BatchError):
    """Input, output and error file cannot be these."""


class OutputExistsError(BatchError):
    """There is an output of an earlier run already."""

    def __init__(self, *, output: Path) -> None:
        super().__init__(f"{output} has answers already: --resume goes on with them, or name another output")
        self.output = output


class BatchRunsAlreadyError(BatchError):
    """Another process writes to the same files."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} is being written by another batch; wait for it, or name another output")
        self.path = path


class NoBatchError(BatchError):
    """There is no batch with such an output."""

    def __init__(self, *, output: Path) -> None:
        super().__init__(f"no batch has written to {output}: there is no {output.name}.batch beside it")
        self.output = output


class InputChangedError(BatchError):
    """The input is another one than when the batch began."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} has changed since the batch began: begin another one, with another output")
        self.path = path


class BrokenOutputError(BatchError):
    """A line of the output or error file is none of ours."""

    def __init__(self, *, path: Path, line: int, reason: str) -> None:
        super().__init__(f"line {line} of {path} {reason}; take it out, or name another output")
        self.path = path
        self.line = line


class OutputWriteError(BatchError):
    """The disk takes no more, or may not be written to."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be written: {reason}; what is written is whole, so mend it and resume"
        )
        self.path = path


class OutputReplacedError(BatchError):
    """The output or error file is not what the runner has written any more."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} {reason} while the batch ran: put it back and resume; without it a resume fetches all "
            "that stood in it, or asks again"
        )
        self.path = path


class BadLinesError(BatchError):
    """A strict batch has bad lines: nothing was sent."""

    def __init__(self, *, lines: Sequence[BadLine]) -> None:
        told = "; ".join(f"line {bad.number}: {bad.message}" for bad in lines[:SHOWN])
        more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        super().__init__(f"nothing was sent, for {len(lines)} lines cannot be: {told}{more}")
        self.lines = tuple(lines)
