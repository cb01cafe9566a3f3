"""A file that lines are added to, and that is whole after every kill: a torn last line is cut before
more are added."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorayard.batch.errors import (
    BatchRunsAlreadyError,
    BrokenOutputError,
    OutputReplacedError,
    OutputWriteError,
)
from lorayard_shared.value import value

_BLOCK_BYTES = 2**16


@value
class Written:
    """What a line that stands in the file is about."""

    custom_id: str | None
    line: int | None
    """Of the input; known of every line of an error file."""
    asked: bool
    """Whether the yard was; False: the line itself was bad."""
    model: str | None
    """Who answered; None: nobody did."""
    digest: str | None


class LineFile:
    """One output, locked as long as it is open."""

    def __init__(self, path: Path) -> None:
        """Open it for adding lines.

        Raises:
            OutputWriteError: it cannot be written.
            BatchRunsAlreadyError: somebody else has it open.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.is_new = not path.exists()
            """Nobody had it before."""
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise BatchRunsAlreadyError(path=path) from error
            raise _unwritable(path, error) from error
        self._end = os.fstat(self._fd).st_size

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return self._end == 0

    def written(self) -> Iterator[Written]:
        """What every line is about, in their order.

        Raises:
            BrokenOutputError: one is none of a batch.
        """
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield _read(self.path, number, raw)

    def append(self, lines: bytes) -> None:
        """Add whole lines; where that fails, none of a half one stays.

        Raises:
            OutputWriteError: the disk is full, or something else is wrong with it.
        """
        self.check()
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            os.ftruncate(self._fd, self._end)
            raise _unwritable(self.path, error) from error
        self._end += len(lines)

    def check(self) -> None:
        """See that what was written stands where people look for it.

        Raises:
            OutputReplacedError: the file was removed, moved, or written to by somebody else.
        """
        mine = os.fstat(self._fd)
        try:
            there = self.path.stat()
        except OSError as error:
            raise OutputReplacedError(path=self.path, reason="was removed or moved away") from error
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise OutputReplacedError(path=self.path, reason="was replaced by another file")
        if mine.st_size != self._end:
            raise OutputReplacedError(path=self.path, reason="was written to by somebody else")

    def sync(self) -> None:
        """Have the disk keep it.

        Raises:
            OutputWriteError: it does not.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def clear(self) -> None:
        """Take every line out."""
        os.ftruncate(self._fd, 0)
        self._end = 0

    def close(self) -> None:
        """Let others have it."""
        os.close(self._fd)

    def cut_torn_line(self) -> None:
        """Have the last whole line be the last one.

        Only of a file that is known to be a batch's: any other may well end without a line end.
        """
        size = end = self._end
        while end > 0:
            start = max(0, end - _BLOCK_BYTES)
            found = os.pread(self._fd, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end != size:
            os.ftruncate(self._fd, end)
        self._end = end


def is_open(path: Path) -> bool:
    """Whether some process has the file open for adding lines."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _read(path: Path, number: int, raw: bytes) -> Written:
    try:
        document: Any = json.loads(raw)
        custom_id, error, response = document["custom_id"], document["error"], document["response"]
        body = response["body"] if error is None else None
        return Written(
            custom_id=None if custom_id is None else str(custom_id),
            line=None if error is None else int(error["line"]),
            asked=response is not None,
            model=None if body is None else body["model"],
            digest=None if body is None else body["lorayard"]["answers"][0]["digest"],
        )
    except (ValueError, KeyError, TypeError, IndexError) as broken:
        raise BrokenOutputError(path=path, line=number, reason="is none of a batch") from broken


def _unwritable(path: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(path=path, reason=error.strerror or str(error))
