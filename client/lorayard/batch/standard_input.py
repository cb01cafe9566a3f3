"""Lines from a pipe: kept in the batch's state folder first, for a batch reads its input more than once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from io import FileIO
from pathlib import Path

from lorayard.batch.errors import (
    BatchRunsAlreadyError,
    InputChangedError,
    NoBatchError,
    OutputExistsError,
    OutputWriteError,
)
from lorayard.batch.files import state_folder
from lorayard.batch.manifest import Manifest, read_manifest

STDIN = "-"
INCOMING = "stdin.jsonl.new"
DIGITS = 16
"""Of the lines' digest, in the name of their file."""

_BLOCK_BYTES = 2**20


def keep_stdin(stream: FileIO, output: Path, *, resume: bool) -> Path:
    """Where the lines of the stream stand, once it has ended. A run that is cut short before that keeps none.

    Raises:
        OutputExistsError: there are answers already; nothing was read.
        InputChangedError: the batch that is to go on has had other lines.
        BatchRunsAlreadyError: another process reads lines for the same output.
        OutputWriteError: there is no room for them.
    """
    before = _before(output)
    if before is not None and not resume:
        raise OutputExistsError(output=output)
    folder = state_folder(output)
    incoming = folder / INCOMING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(incoming, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with FileIO(file, "r+") as kept:
            _hold(kept, incoming)
            try:
                digest = _copy(stream, kept)
                if before is not None and digest != before.input_sha256:
                    raise InputChangedError(path=Path("stdin"))
                # Other lines have another name: a second run for the same output, which will be refused,
                # takes nothing from the first.
                place = folder / f"stdin-{digest[:DIGITS]}.jsonl"
                incoming.replace(place)
            except BaseException:
                incoming.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputWriteError(path=incoming, reason=error.strerror or str(error)) from error
    return place


def _before(output: Path) -> Manifest | None:
    try:
        return read_manifest(output)
    except NoBatchError:
        return None


def _hold(kept: FileIO, path: Path) -> None:
    try:
        fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise BatchRunsAlreadyError(path=path) from error
        raise
    try:
        there = path.stat().st_ino
    except FileNotFoundError:
        there = None
    if there != os.fstat(kept.fileno()).st_ino:
        # Whoever held it has just given it its name: what stands in it is theirs.
        raise BatchRunsAlreadyError(path=path)


def _copy(stream: FileIO, kept: FileIO) -> str:
    digest = hashlib.sha256()
    kept.truncate(0)
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
        view = memoryview(block)
        while view:
            view = view[kept.write(view) :]
    os.fsync(kept.fileno())
    return digest.hexdigest()
