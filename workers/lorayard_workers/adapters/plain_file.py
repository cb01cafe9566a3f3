"""Reads a file from untrusted hands whole, and only if it is one: no pipe that hangs, no endless device."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from lorayard_workers.errors import AdapterRefusedError


def read_plain_file(folder: Path, name: str, max_bytes: int) -> memoryview:
    """The file's bytes, judged by the open file, so that nobody can swap it in between.

    In memory of their own that may be written to, in large pages where the system has them.

    Raises:
        FileNotFoundError: there is no such file.
        AdapterRefusedError: it is not a regular file, cannot be read, is too long or changed under us.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
        handle = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AdapterRefusedError(folder, f"{name} cannot be read: {error.strerror}") from None
    try:
        return _read(folder, name, handle, max_bytes)
    finally:
        os.close(handle)


def _read(folder: Path, name: str, handle: int, max_bytes: int) -> memoryview:
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        raise AdapterRefusedError(folder, f"{name} is not a regular file")
    if state.st_size > max_bytes:
        raise AdapterRefusedError(folder, f"{name} has {state.st_size} bytes, more than {max_bytes}")
    # Not `read`: it takes room for the most that could come, and zeroes that, before it knows what there is.
    room = np.empty(state.st_size + 1, dtype=np.uint8).data  # one more: to see a file that grows
    filled = 0
    with os.fdopen(handle, "rb", buffering=0, closefd=False) as file:
        while filled < len(room) and (count := file.readinto(room[filled:])):
            filled += count
    if filled != state.st_size:
        raise AdapterRefusedError(folder, f"{name} changed while it was read")
    return room[:filled]
