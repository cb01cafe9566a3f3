"""One packed adapter as a file: disk to host memory is then one read and a few hundred views.

A safetensors file with one flat tensor for each type of value; its metadata holds the index, what the file
belongs to, and a SHA-256 over everything else. Written beside its place and renamed, never changed.

Read, not mapped: a map shows what others do to the file after it was checked. Cut short it ends the process
(SIGBUS), overwritten it puts unchecked weights into a slot, and its pages come from disk on the thread that
copies them. Reading 3.8 MB, rank 8 for a 270M model, adds 0.9 ms to a load.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorayard_shared.adapters.errors import NotPlainFileError
from lorayard_shared.adapters.plain_file import fill, open_plain_file
from lorayard_workers.errors import PackedFileError
from lorayard_workers.memory.index import index, restore, section_type
from lorayard_workers.memory.packing import HostAdapter

FORMAT = "lorayard-packed-2"
"""Changes with anything that gives the same adapter another content: the form, the packing, the rounding."""

_ALIGNMENT = 64
"""A cache line: vector loads of the first values stay within one."""
_MAX_HEADER_BYTES = 1 << 24
"""An index has 40 bytes per tensor: 400,000 tensors."""
_SAFETENSORS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8"}
_READABLE_BY_ME = 0o400
_LENGTH_BYTES = 8
"""Of the header's length, which begins a safetensors file."""
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO})
"""What opening a link or a socket says."""
_UNFINISHED_PREFIX = ".writing-"
_UNFINISHED = re.compile(r"\.writing-[0-9a-f]{64}-[0-9a-f]{16}-[a-z0-9_]{8}")


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as the file system knows it: the same state is the same content."""

    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """The bytes of a file that is not written yet."""

    header: bytes
    sections: tuple[memoryview, ...]

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        return len(self.header) + sum(len(section) for section in self.sections)

    def write(self, path: Path) -> None:
        """Put it at `path`, whole or not at all. Raises OSError."""
        handle, name = tempfile.mkstemp(prefix=f"{_UNFINISHED_PREFIX}{path.stem}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines((self.header, *self.sections))
                file.flush()
                os.fchmod(handle, _READABLE_BY_ME)
                os.fsync(handle)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is one that `PackedFile.write` had not finished."""
    return _UNFINISHED.fullmatch(name) is not None


def compose_packed(adapter: HostAdapter, owner: str) -> PackedFile:
    """What to write for an adapter; `owner` says what the content belongs to besides the adapter.

    Raises TypeError for a kind of adapter that has no form in a file.
    """
    indexed = index(adapter)
    metadata = {"format": FORMAT, "digest": adapter.digest, "owner": owner, "index": _dump(indexed.tree)}
    header: dict[str, Any] = {"__metadata__": metadata}
    sections: list[memoryview] = []
    start = 0
    for name, tensor in indexed.sections.items():
        data = tensor.view(torch.uint8).numpy().data
        stop = start + len(data)
        header[name] = {
            "dtype": _SAFETENSORS[name],
            "shape": [tensor.numel()],
            "data_offsets": [start, stop],
        }
        sections.append(data)
        start = stop
    metadata["sha256"] = _hash(header, *sections)
    text = _dump(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return PackedFile(header=len(text).to_bytes(8, "little") + text, sections=tuple(sections))


def open_packed(
    path: Path, digest: str, owner: str, *, verified: FileState | None = None
) -> tuple[HostAdapter, FileState]:
    """The adapter in a file, in memory of its own, and the state the file was seen in.

    The content is hashed unless the file is still in the state `verified`. Raises FileNotFoundError, or
    PackedFileError for a file that is damaged, belongs to something else, or could be changed by others.
    """
    header, values, state = _contents(path)
    try:
        adapter = _read(json.loads(header), values, digest, owner, check=state != verified)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PackedFileError(path, f"{type(error).__name__}: {error}") from error
    return adapter, state


def _contents(path: Path) -> tuple[bytes, memoryview, FileState]:
    """Header, values, and the state the file was in before and after."""
    handle, status = _open(path)
    try:
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PackedFileError(path, "others than this process's user may write to it")
        state = _state(status)
        header = _header(path, handle, state.size)
        values = _aligned(state.size - _LENGTH_BYTES - len(header))
        filled = fill(values, handle)
        if filled != len(values) or _state(os.fstat(handle)) != state:
            raise PackedFileError(path, "it changed while it was read")
        return header, values, state
    except OSError as error:
        raise PackedFileError(path, str(error)) from error
    finally:
        os.close(handle)


def _open(path: Path) -> tuple[int, os.stat_result]:
    try:
        return open_plain_file(path, os.O_NOFOLLOW)
    except NotPlainFileError:
        raise PackedFileError(path, "it is no plain file") from None
    except OSError as error:
        if error.errno in _NO_FILE:
            raise PackedFileError(path, "it is a link or a socket") from None
        raise


def _state(status: os.stat_result) -> FileState:
    return FileState(status.st_ino, status.st_size, status.st_mtime_ns)


def _header(path: Path, handle: int, size: int) -> bytes:
    length = int.from_bytes(os.read(handle, _LENGTH_BYTES), "little")
    if length > min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
        raise PackedFileError(path, f"a header of {length} bytes in a file of {size}")
    header = memoryview(bytearray(length))
    return bytes(header[: fill(header, handle)])


def _aligned(size: int) -> memoryview:
    """Memory of its own, in large pages where the system has them: the first touch then costs a third."""
    room = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size].data


def _read(header: dict[str, Any], values: memoryview, digest: str, owner: str, *, check: bool) -> HostAdapter:
    metadata = header["__metadata__"]
    wanted = metadata.pop("sha256")
    for name, mine in (("format", FORMAT), ("digest", digest), ("owner", owner)):
        if metadata[name] != mine:
            raise ValueError(f"its {name} is {metadata[name]!r:.100}, not {mine!r}")
    if check and _hash(header, values) != wanted:
        raise ValueError("its content is not what was written")
    del header["__metadata__"]
    sections = {name: _section(name, entry, values) for name, entry in header.items()}
    return restore(json.loads(metadata["index"]), sections)


def _section(name: str, entry: Mapping[str, Any], values: memoryview) -> Tensor:
    first, stop = entry["data_offsets"]
    kind = section_type(name)
    count, rest = divmod(stop - first, kind.itemsize)
    if rest or stop > len(values) or first < 0:
        raise ValueError(f"section {name} lies at {first}-{stop} of {len(values)} bytes")
    return torch.frombuffer(values, dtype=kind, count=count, offset=first)


def _hash(header: Mapping[str, Any], *data: memoryview) -> str:
    digest = hashlib.sha256(_dump(header, ordered=True).encode())
    for part in data:
        digest.update(part)
    return digest.hexdigest()


def _dump(value: object, *, ordered: bool = False) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=ordered)
