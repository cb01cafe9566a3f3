"""Reads a file from untrusted hands whole, and only if it is one: no pipe that hangs, no endless device."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from lorayard_shared.adapters.errors import AdapterRefusedError, NotPlainFileError


def read_plain_file(folder: Path, name: str, max_bytes: int) -> memoryview:
    """The file's bytes, judged by the open file, so that nobody can swap it in between.

    In memory of their own that may be written to, in large pages where the system has them.

    Raises:
        FileNotFoundError: there is no such file.
        AdapterRefusedError: it is not a regular file, cannot be read, is too long or changed under us.
    """
    try:
        handle, state = open_plain_file(folder / name)
    except FileNotFoundError:
        raise
    except NotPlainFileError:
        raise AdapterRefusedError(folder, f"{name} is not a regular file") from None
    except OSError as error:
        raise AdapterRefusedError(folder, f"{name} cannot be read: {error.strerror}") from None
    try:
        return _read(folder, name, handle, state, max_bytes)
    finally:
        os.close(handle)


def open_plain_file(path: Path, flags: int = 0) -> tuple[int, os.stat_result]:
    """A handle to read from, which the caller closes, and what the open file is; `flags` as of `os.open`.

    Raises NotPlainFileError for anything but a regular file, and OSError.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise NotPlainFileError(path)
    except BaseException:
        os.close(handle)
        raise
    return handle, state


def fill(room: memoryview, handle: int) -> int:
    """Read until the room is full or the file ends; returns the number of bytes."""
    filled = 0
    while filled < len(room) and (count := os.readv(handle, [room[filled:]])):
        filled += count
    return filled


def _read(folder: Path, name: str, handle: int, state: os.stat_result, max_bytes: int) -> memoryview:
    if state.st_size > max_bytes:
        raise AdapterRefusedError(folder, f"{name} has {state.st_size} bytes, more than {max_bytes}")
    # Not `read`: it takes room for the most that could come, and zeroes that, before it knows what there is.
    room = np.empty(state.st_size + 1, dtype=np.uint8).data  # one more: to see a file that grows
    filled = fill(room, handle)
    if filled != state.st_size:
        raise AdapterRefusedError(folder, f"{name} changed while it was read")
    return room[:filled]
