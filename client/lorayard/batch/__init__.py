"""Files of requests in OpenAI's batch format, answered by a yard: an adapter per line, and every line once.

    files = batch_files(Path("in.jsonl"), Path("out.jsonl"))
    async with Client() as yard:
        batch = open_batch(files, BatchOptions(), tenant="default", resume=True)
        manifest = await BatchRunner(yard, batch).run()

Killed at any moment, the same lines go on from where it was: what stands in the files is done, what is in the
yard is found by its key, and nothing is asked twice.
"""

from __future__ import annotations

from lorayard.batch.cancelling import cancel_left, want_cancel
from lorayard.batch.counts import BatchCounts
from lorayard.batch.errors import (
    BadLinesError,
    BatchError,
    BatchFilesError,
    BatchRunsAlreadyError,
    BrokenOutputError,
    InputChangedError,
    NoBatchError,
    OutputExistsError,
    OutputReplacedError,
    OutputWriteError,
)
from lorayard.batch.files import BatchFiles, batch_files, state_folder
from lorayard.batch.line import BadLine, Line, read_line
from lorayard.batch.line_file import is_open
from lorayard.batch.manifest import BatchState, Manifest, read_manifest
from lorayard.batch.opening import OpenBatch, open_batch
from lorayard.batch.options import BatchOptions
from lorayard.batch.runner import BatchRunner
from lorayard.batch.standard_input import keep_stdin
from lorayard.batch.writer import Fsync

__all__ = [
    "BadLine",
    "BadLinesError",
    "BatchCounts",
    "BatchError",
    "BatchFiles",
    "BatchFilesError",
    "BatchOptions",
    "BatchRunner",
    "BatchRunsAlreadyError",
    "BatchState",
    "BrokenOutputError",
    "Fsync",
    "InputChangedError",
    "Line",
    "Manifest",
    "NoBatchError",
    "OpenBatch",
    "OutputExistsError",
    "OutputReplacedError",
    "OutputWriteError",
    "batch_files",
    "cancel_left",
    "is_open",
    "keep_stdin",
    "open_batch",
    "read_line",
    "read_manifest",
    "state_folder",
    "want_cancel",
]
